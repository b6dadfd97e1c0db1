// Hours and days are those of the zone of whoever looks, whatever the zone of the server is.

import assert from "node:assert/strict";
import { test } from "node:test";

import { dayOf, startsOf, tickOf, timeOf } from "../../../src/segue_web/static/calendar.js";

const inZone = (zone, act) => {
  const before = process.env.TZ;
  process.env.TZ = zone;
  try {
    return act();
  } finally {
    if (before === undefined) delete process.env.TZ;
    else process.env.TZ = before;
  }
};
const iso = (starts) => starts.map((start) => new Date(start * 1000).toISOString().slice(0, 16));

test("days begin at midnight of the browser", () => {
  const now = new Date("2026-11-28T23:30:00Z");
  assert.deepEqual(
    inZone("Asia/Tokyo", () => iso(startsOf("day", 2, now))),
    ["2026-11-27T15:00", "2026-11-28T15:00"],
  );
  assert.deepEqual(
    inZone("America/New_York", () => iso(startsOf("day", 2, now))),
    ["2026-11-27T05:00", "2026-11-28T05:00"],
  );
});

test("a day in which the clocks change has 23 or 25 hours", () => {
  for (const [now, hours] of [
    ["2026-03-29T12:00:00Z", 23],
    ["2026-10-25T12:00:00Z", 25],
  ]) {
    const starts = inZone("Europe/Berlin", () => [
      ...startsOf("day", 1, new Date(now)),
      ...startsOf("day", 1, new Date(new Date(now).getTime() + 86_400_000)),
    ]);
    assert.equal((starts[1] - starts[0]) / 3600, hours);
  }
});

test("hours begin by the clock, also in zones that are half an hour off", () => {
  const now = new Date("2026-11-28T10:20:00Z");
  assert.deepEqual(
    inZone("Asia/Kolkata", () => iso(startsOf("hour", 2, now))),
    ["2026-11-28T08:30", "2026-11-28T09:30"],
  );
  assert.equal(startsOf("hour", 24, now).length, 24);
});

test("a bar stands over the day in whose list its events are", () => {
  inZone("Pacific/Auckland", () => {
    const moment = Date.parse("2026-11-28T12:00:00Z") / 1000; // the 29th there
    const start = startsOf("day", 1, new Date(moment * 1000))[0];
    assert.equal(tickOf("day", start), "29/11");
    assert.match(dayOf(moment), /November 29/);
    assert.equal(dayOf(start), dayOf(moment));
    assert.equal(timeOf(start), "00:00:00");
    assert.equal(tickOf("hour", moment), "1");
  });
});
