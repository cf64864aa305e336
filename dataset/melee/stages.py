"""The shape of the legal stages, in Melee units: blast zones, the floor, and platforms.

Blast zones are Magus420's measurements, platforms those of libmelee's ``stages``; in 22 real replays players stand on just these.
The side platforms of Fountain of Dreams rise and fall: here they are where they begin. Randall, the cloud of Yoshi's Story, and
Pokémon Stadium's transformations are left out.
"""

from typing import NamedTuple


class BlastZone(NamedTuple):
    """Whoever crosses it is out."""

    left: float
    right: float
    bottom: float
    top: float


class Platform(NamedTuple):
    """A platform through which one can jump."""

    left: float
    right: float
    height: float


BLAST_ZONES = {
    "fountain_of_dreams": BlastZone(-198.75, 198.75, -146.25, 202.5),
    "pokemon_stadium": BlastZone(-230.0, 230.0, -111.0, 180.0),
    "yoshis_story": BlastZone(-175.7, 173.6, -91.0, 168.0),
    "dream_land": BlastZone(-255.0, 255.0, -123.0, 250.0),
    "battlefield": BlastZone(-224.0, 224.0, -108.8, 200.0),
    "final_destination": BlastZone(-246.0, 246.0, -140.0, 188.0),
}

PLATFORMS: dict[str, tuple[Platform, ...]] = {
    "fountain_of_dreams": (
        Platform(-49.5, -21.0, 20.0),
        Platform(21.0, 49.5, 28.0),
        Platform(-14.25, 14.25, 42.75),
    ),
    "pokemon_stadium": (Platform(-55.0, -25.0, 25.0), Platform(25.0, 55.0, 25.0)),
    "yoshis_story": (Platform(-59.5, -28.0, 23.45), Platform(28.0, 59.5, 23.45), Platform(-15.75, 15.75, 42.0)),
    "dream_land": (Platform(-61.39, -31.73, 30.14), Platform(31.7, 63.07, 30.24), Platform(-19.02, 19.02, 51.43)),
    "battlefield": (Platform(-57.6, -20.0, 27.2), Platform(20.0, 57.6, 27.2), Platform(-18.8, 18.8, 54.4)),
    "final_destination": (),
}
