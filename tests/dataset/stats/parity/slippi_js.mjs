// Statistics of slippi-js (npm @slippi/slippi-js) for the replays that standard input names, one path a line.
// Writes one line of JSON for each: {path, players: {port: {...}}}, or {path, error}.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const folder = process.argv[2]; // the folder whose node_modules hold slippi-js
const { SlippiGame } = createRequire(join(folder, "package.json"))("@slippi/slippi-js/node");

function playerStats(stats, index) {
  const of = (list) => list.filter((each) => each.playerIndex === index);
  const actions = of(stats.actionCounts)[0];
  const overall = of(stats.overall)[0];
  const suffered = of(stats.conversions); // playerIndex of a conversion is whom it was done to
  const made = stats.conversions.filter((each) => each.playerIndex !== index);
  const kinds = (type) => made.filter((each) => each.openingType === type).length;
  return {
    actions,
    inputs: overall.inputCounts,
    openings: overall.conversionCount,
    conversions: overall.successfulConversions.count,
    kills: overall.killCount,
    kill_percents: made.filter((each) => each.didKill).map((each) => each.endPercent),
    damage: overall.totalDamage,
    neutral_wins: kinds("neutral-win"),
    counter_attacks: kinds("counter-attack"),
    trades: kinds("trade"),
    stocks_lost: of(stats.stocks).filter((each) => each.endFrame != null).length,
    kills_against: suffered.filter((each) => each.didKill).length,
    starts: made.map((each) => each.startFrame),
    moves: made.map((each) => each.moves.length),
  };
}

for await (const path of createInterface({ input: process.stdin })) {
  try {
    const game = new SlippiGame(path);
    const stats = game.getStats();
    const players = game.getSettings().players.map(({ playerIndex, port }) => [port, playerStats(stats, playerIndex)]);
    const found = { path, frames: stats.playableFrameCount, players: Object.fromEntries(players) };
    process.stdout.write(JSON.stringify(found) + "\n");
  } catch (error) {
    process.stdout.write(JSON.stringify({ path, error: String(error) }) + "\n");
  }
}
