// What slippi-js counts in the replays that standard input names, one path a line: one line of JSON for each.
// The argument is the folder whose node_modules hold the package.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { resolve } from "node:path";

const { SlippiGame } = createRequire(resolve(process.argv[2], "package.json"))("@slippi/slippi-js/node");

function countsOf(stats, index) {
  const own = (list) => list.find((each) => each.playerIndex === index);
  // The playerIndex of a conversion is that of its victim.
  const made = stats.conversions.filter((each) => each.playerIndex !== index);
  const opened = (type) => made.filter((each) => each.openingType === type).length;
  const { inputCounts, conversionCount, successfulConversions, killCount, totalDamage } = own(stats.overall);
  return {
    actions: own(stats.actionCounts),
    inputs: inputCounts,
    openings: conversionCount,
    conversions: successfulConversions.count,
    kills: killCount,
    killPercent: made.filter((each) => each.didKill).reduce((sum, each) => sum + each.endPercent, 0),
    damage: totalDamage,
    neutralWins: opened("neutral-win"),
    counterAttacks: opened("counter-attack"),
    trades: opened("trade"),
    openedBy: made.filter((each) => each.moves.length).map((each) => each.moves[0].moveId),
    killedBy: made.filter((each) => each.didKill && each.moves.length).map((each) => each.moves.at(-1).moveId),
    stocksLost: stats.stocks.filter((each) => each.playerIndex === index && each.endFrame != null).length,
  };
}

for await (const path of createInterface({ input: process.stdin })) {
  const game = new SlippiGame(path);
  const stats = game.getStats();
  const players = game.getSettings().players.map(({ playerIndex, port }) => [port, countsOf(stats, playerIndex)]);
  process.stdout.write(JSON.stringify({ path, players: Object.fromEntries(players) }) + "\n");
}
