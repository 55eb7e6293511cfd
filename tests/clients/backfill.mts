// Makes a backfill with the generated TypeScript client and prints what it is told, as JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { env: Record<string, string | undefined> };

type Status = components["schemas"]["Backfill"]["status"];
const ACTIVE: Status = "active";
const FIRST = "2021-10-19";
const LAST = "2021-10-20";

async function main(): Promise<void> {
  const client = createClient<paths>({
    baseUrl: process.env.BACKFILLD_URL,
    headers: { Authorization: `Bearer ${process.env.BACKFILLD_TOKEN}` },
  });
  const create = (start: string, end: string, key?: string) =>
    client.POST("/v1/backfills", {
      params: { header: { "Idempotency-Key": key } },
      body: { start, end, note: "by a generated client" },
    });
  const made = await create(FIRST, LAST, "once");
  const again = await create(FIRST, LAST, "once");
  const id = made.data!.id!;
  const backfill = await client.GET("/v1/backfills/{id}", { params: { path: { id } } });
  const rows = await client.GET("/v1/backfills/{id}/dates", { params: { path: { id } } });
  const date = await client.GET("/v1/dates/{date}", { params: { path: { date: FIRST } } });
  const refused = await create(LAST, FIRST);
  const absent = await client.GET("/v1/dates/{date}", { params: { path: { date: "1999-01-01" } } });
  console.log(JSON.stringify({
    ids: [made.data!.id, again.data!.id],
    active: backfill.data!.status === ACTIVE,
    note: backfill.data!.note,
    outcomes: made.data!.outcomes,
    dates: rows.data!.items.map((row) => row.date),
    verdicts: [...new Set(date.data!.processors.map((check) => check.verdict))].sort(),
    refused: [refused.error!.status, refused.error!.errors?.map((fault) => fault.field)],
    absent: [absent.error!.status, absent.error!.type],
  }));
}

void main();
