"""The fourteen processors: output table, inputs and query of each.

A query sees the tables `teams` (two rows per final game of the date), `roster` (its players), `league` (all
thirty teams) and `today` (the date, its day in the season), and one table for each processor it reads. It is
a function of these alone, so a rerun writes the same rows. The date is the partition's, not a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

SEASON_OPENS = date(2021, 10, 19)
BOOTSTRAP_DAYS = 7
"""Phase 4 writes nothing on the first days of a season: there is no history to compute from."""

TEAMS = (
    *("ATL", "BKN", "BOS", "CHA", "CHI", "CLE", "DAL", "DEN", "DET", "GSW"),
    *("HOU", "IND", "LAC", "LAL", "MEM", "MIA", "MIL", "MIN", "NOP", "NYK"),
    *("OKC", "ORL", "PHI", "PHX", "POR", "SAC", "SAS", "TOR", "UTA", "WAS"),
)

BASE_TABLES = """
CREATE TABLE teams AS
WITH games AS (
    SELECT row_number() OVER (ORDER BY game_id) - 1 AS game_no, day,
           strftime(date, '%Y%m%d_') || away_team_tricode || '_' || home_team_tricode AS game_id,
           home_team_tricode AS home, away_team_tricode AS away
    FROM (SELECT DISTINCT game_id, home_team_tricode, away_team_tricode FROM schedule WHERE game_status = 3),
         calendar
)
SELECT game_no, game_id, day, home AS team_abbr, away AS opponent, 1 AS is_home FROM games
UNION ALL
SELECT game_no, game_id, day, away, home, 0 FROM games;

CREATE TABLE roster AS
SELECT t.*, slot, lower(team_abbr) || '_' || slot AS player_lookup,
       CASE WHEN slot < 10 + (day + game_no) % (3 - is_home) THEN 38 - 3 * slot ELSE 0 END AS minutes
FROM teams AS t, range(20) AS r (slot);

CREATE TABLE today AS SELECT date, day, greatest((SELECT count(*) FROM teams), 1) AS team_rows FROM calendar;
"""

COMPLETENESS = """*,
    round(100.0 * actual_games_count / expected_games_count, 1) AS completeness_percentage,
    expected_games_count - actual_games_count AS missing_games_count,
    actual_games_count >= 0.7 * expected_games_count AS is_production_ready"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """One job's output table, its inputs and its rows."""

    table: str
    history_name: str
    rows: str
    reads: Mapping[str, str] = field(default_factory=dict)
    """Its inputs with the columns that the query uses; a missing input is an empty table of these."""
    date_column: str = "game_date"
    reads_season: bool = False
    """Whether it reads the rows of the season up to the date, instead of those of the date."""
    measures_completeness: bool = False
    """Whether the query counts expected and actual games, from which the completeness columns follow."""
    skips_bootstrap: bool = False

    @property
    def phase(self) -> str:
        """The name of the phase in the run history."""
        dataset = self.table.partition(".")[0]
        return {"nba_raw": "phase_2_raw", "nba_analytics": "phase_3_analytics"}.get(
            dataset, "phase_4_precompute"
        )

    @property
    def has_quality(self) -> bool:
        """Whether its rows have quality columns; raw rows have none."""
        return self.measures_completeness or "data_quality_tier" in self.rows


_RAW = {
    "nbac_gamebook_player_stats": Processor(
        table="nba_raw.nbac_gamebook_player_stats",
        history_name="NbacGamebookProcessor",
        rows="""
SELECT game_id, team_abbr, player_lookup, if(minutes > 0, 'active', 'dnp') AS player_status, minutes,
       minutes * 3 // 5 + (day + slot) % 7 AS points, minutes // 6 AS rebounds, minutes // 8 AS assists
FROM roster WHERE slot < if(is_home = 1, 17, 16 + (day + game_no) % 4) ORDER BY game_id, team_abbr, slot""",
    ),
    "nbac_team_boxscore": Processor(
        table="nba_raw.nbac_team_boxscore",
        history_name="NbacTeamBoxscoreProcessor",
        rows="""
SELECT game_id, team_abbr, opponent, is_home = 1 AS is_home,
       96 + (day * 7 + game_no * 5) % 30 + 2 * is_home AS points,
       95 + (day + game_no) % 9 AS possessions, 240 AS minutes
FROM teams ORDER BY game_id, team_abbr""",
    ),
    "bettingpros_player_points_props": Processor(
        table="nba_raw.bettingpros_player_points_props",
        history_name="BettingPropsProcessor",
        rows="""
SELECT game_id, player_lookup, team_abbr, 'points' AS market_type, 'book_' || book AS bookmaker,
       if(book % 2 = 0, 'over', 'under') AS bet_side, 28.5 - slot + book % 3 AS points_line
FROM roster, range(24) AS b (book) WHERE slot < 17 ORDER BY game_id, player_lookup, book""",
    ),
    "bigdataball_play_by_play": Processor(
        table="nba_raw.bigdataball_play_by_play",
        history_name="BigDataBallPbpProcessor",
        rows="""
SELECT game_id, event_no, 1 + event_no // 125 AS period, if(event_no % 3 = 0, 'shot', 'other') AS event_type,
       if(event_no % 2 = 0, team_abbr, opponent) AS team_abbr
FROM teams, range(505) AS e (event_no)
WHERE is_home = 1 AND event_no < 480 + (day + game_no) % 25 ORDER BY game_id, event_no""",
    ),
    "bdl_player_boxscores": Processor(
        table="nba_raw.bdl_player_boxscores",
        history_name="BdlPlayerBoxScoresProcessor",
        rows="""
SELECT game_id, team_abbr, player_lookup, minutes, minutes * 3 // 5 + (day + slot) % 7 AS points
FROM roster WHERE slot < 12 + is_home ORDER BY game_id, team_abbr, slot""",
    ),
}

_PLAYED = "game_id VARCHAR, team_abbr VARCHAR, player_lookup VARCHAR, minutes BIGINT, points BIGINT"
_BOXSCORE = "game_id VARCHAR, team_abbr VARCHAR, opponent VARCHAR, points BIGINT, possessions BIGINT"

_ANALYTICS = {
    "player_game_summary": Processor(
        table="nba_analytics.player_game_summary",
        history_name="PlayerGameSummaryProcessor",
        reads={
            "nbac_gamebook_player_stats": _PLAYED,
            "bdl_player_boxscores": _PLAYED,
            "team_offense_game_summary": "team_abbr VARCHAR, possessions BIGINT",
        },
        # The second source is used only if the first has no rows, as on the real platform.
        rows="""
WITH source AS (
    SELECT game_id, team_abbr, player_lookup, minutes, points, 'nbac_gamebook' AS primary_source_used
    FROM nbac_gamebook_player_stats
    UNION ALL
    SELECT game_id, team_abbr, player_lookup, minutes, points, 'bdl_boxscores' FROM bdl_player_boxscores
    WHERE NOT EXISTS (SELECT 1 FROM nbac_gamebook_player_stats)
)
SELECT game_id, player_lookup, team_abbr, minutes AS minutes_played, points, primary_source_used,
       round(100.0 * (points + 1) / (SELECT any_value(o.possessions) FROM team_offense_game_summary AS o
                                     WHERE o.team_abbr = source.team_abbr), 2) AS usage_rate,
       if(primary_source_used = 'nbac_gamebook', 'gold', 'silver') AS data_quality_tier
FROM source WHERE minutes > 0 ORDER BY game_id, player_lookup""",
    ),
    "team_defense_game_summary": Processor(
        table="nba_analytics.team_defense_game_summary",
        history_name="TeamDefenseGameSummaryProcessor",
        reads={"nbac_team_boxscore": _BOXSCORE},
        rows="""
SELECT game_id, opponent AS team_abbr, team_abbr AS opponent, points AS points_allowed,
       round(100.0 * points / possessions, 1) AS defensive_rating, 'gold' AS data_quality_tier
FROM nbac_team_boxscore ORDER BY game_id, team_abbr""",
    ),
    "team_offense_game_summary": Processor(
        table="nba_analytics.team_offense_game_summary",
        history_name="TeamOffenseGameSummaryProcessor",
        reads={"nbac_team_boxscore": _BOXSCORE},
        rows="""
SELECT game_id, team_abbr, opponent, points, possessions,
       round(100.0 * points / possessions, 1) AS offensive_rating, 'gold' AS data_quality_tier
FROM nbac_team_boxscore ORDER BY game_id, team_abbr""",
    ),
    "upcoming_player_game_context": Processor(
        table="nba_analytics.upcoming_player_game_context",
        history_name="UpcomingPlayerGameContextProcessor",
        reads={"bettingpros_player_points_props": "player_lookup VARCHAR"},
        measures_completeness=True,
        rows="""
SELECT game_id, player_lookup, team_abbr, opponent, slot < 5 AS likely_starter,
       player_lookup IN (SELECT player_lookup FROM bettingpros_player_points_props) AS has_prop_line,
       least(10, day + 1) AS expected_games_count, least(10, day + 1) AS actual_games_count
FROM roster WHERE slot < 16 + is_home * (day + game_no) % 4 ORDER BY game_id, player_lookup""",
    ),
    "upcoming_team_game_context": Processor(
        table="nba_analytics.upcoming_team_game_context",
        history_name="UpcomingTeamGameContextProcessor",
        measures_completeness=True,
        rows="""
SELECT game_id, team_abbr, opponent, is_home = 1 AS is_home, 1 + (day + game_no) % 3 AS days_rest,
       least(10, day + 1) AS expected_games_count, least(10, day + 1) AS actual_games_count
FROM teams ORDER BY game_id, team_abbr""",
    ),
}

_PRECOMPUTE = {
    "team_defense_zone_analysis": Processor(
        table="nba_precompute.team_defense_zone_analysis",
        history_name="TeamDefenseZoneAnalysisProcessor",
        date_column="analysis_date",
        reads={"team_defense_game_summary": "game_date DATE, team_abbr VARCHAR"},
        reads_season=True,
        measures_completeness=True,
        skips_bootstrap=True,
        # Early in a season some teams have too few games: 20 of 30 on day 7, all of them from day 17 on.
        rows="""
SELECT league.team_abbr, 35 + (team_no + day) % 11 AS paint_defense_vs_league_avg, window_dates,
       team_rows AS expected_games_count, least(team_rows_found, team_rows) AS actual_games_count
FROM league, today,
     (SELECT count(DISTINCT game_date) AS window_dates,
             count(DISTINCT team_abbr) FILTER (game_date = (SELECT date FROM calendar)) AS team_rows_found
      FROM team_defense_game_summary)
WHERE window_dates > 0 AND NOT (team_no % 3 = 2 AND team_no // 3 >= day - 7) ORDER BY team_abbr""",
    ),
    "player_shot_zone_analysis": Processor(
        table="nba_precompute.player_shot_zone_analysis",
        history_name="PlayerShotZoneAnalysisProcessor",
        date_column="analysis_date",
        reads={"player_game_summary": "game_date DATE, team_abbr VARCHAR"},
        reads_season=True,
        measures_completeness=True,
        skips_bootstrap=True,
        # Players with enough games, whoever plays that day: 203 on day 7, 271 on day 27, at most 513.
        rows="""
SELECT 'player_' || player_no AS player_lookup, 30 + player_no % 40 AS paint_rate, window_dates,
       team_rows AS expected_games_count, least(team_rows_found, team_rows) AS actual_games_count
FROM range(513) AS p (player_no), today,
     (SELECT count(DISTINCT game_date) AS window_dates,
             count(DISTINCT team_abbr) FILTER (game_date = (SELECT date FROM calendar)) AS team_rows_found
      FROM player_game_summary)
WHERE window_dates > 0 AND player_no < 180 + 17 * day // 5 ORDER BY player_no""",
    ),
    "player_composite_factors": Processor(
        table="nba_precompute.player_composite_factors",
        history_name="PlayerCompositeFactorsProcessor",
        reads={
            "upcoming_player_game_context": "game_id VARCHAR, player_lookup VARCHAR, opponent VARCHAR",
            "upcoming_team_game_context": "team_abbr VARCHAR",
            "player_shot_zone_analysis": "player_lookup VARCHAR",
            "team_defense_zone_analysis": "team_abbr VARCHAR, paint_defense_vs_league_avg BIGINT",
        },
        measures_completeness=True,
        skips_bootstrap=True,
        # A team without zone analysis leaves its opponents' players without a strength score.
        rows="""
SELECT u.game_id, u.player_lookup, 50 + ascii(u.player_lookup) % 50 AS fatigue_score,
       (SELECT any_value(z.paint_defense_vs_league_avg) FROM team_defense_zone_analysis AS z
        WHERE z.team_abbr = u.opponent) AS opponent_strength_score,
       1 AS expected_games_count, 1 AS actual_games_count
FROM upcoming_player_game_context AS u
WHERE EXISTS (SELECT 1 FROM player_shot_zone_analysis) AND EXISTS (SELECT 1 FROM team_defense_zone_analysis)
  AND EXISTS (SELECT 1 FROM upcoming_team_game_context) ORDER BY u.game_id, u.player_lookup""",
    ),
    "player_daily_cache": Processor(
        table="nba_precompute.player_daily_cache",
        history_name="PlayerDailyCacheProcessor",
        date_column="cache_date",
        reads={
            "player_game_summary": "player_lookup VARCHAR, minutes_played BIGINT, points BIGINT",
            "team_offense_game_summary": "team_abbr VARCHAR",
            "upcoming_player_game_context": "player_lookup VARCHAR, team_abbr VARCHAR",
        },
        measures_completeness=True,
        skips_bootstrap=True,
        # Regulars only, of teams whose offense is known: 19 a game.
        rows="""
SELECT r.player_lookup, p.points AS points_avg_last_5, p.minutes_played AS minutes_avg_last_10,
       least(10, r.day + 1) AS expected_games_count, least(10, r.day + 1) AS actual_games_count
FROM roster AS r
JOIN player_game_summary AS p USING (player_lookup)
WHERE r.slot < 9 + r.is_home AND r.player_lookup IN (SELECT player_lookup FROM upcoming_player_game_context)
  AND r.team_abbr IN (SELECT team_abbr FROM team_offense_game_summary) ORDER BY r.player_lookup""",
    ),
}

PROCESSORS: Mapping[str, Processor] = {**_RAW, **_ANALYTICS, **_PRECOMPUTE}
"""All fourteen by name, in an order in which a date can be filled."""
