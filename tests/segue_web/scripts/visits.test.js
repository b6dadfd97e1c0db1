// Visits by activity, and what is said of them.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  activitiesOf,
  actsText,
  bestView,
  countText,
  lengthText,
  numbersByCamera,
  startIn,
} from "../../../src/segue_web/static/visits.js";

const NOON = new Date(2026, 10, 30, 12).getTime() / 1000;

const event = (kind, seconds, more = {}) => ({
  event: kind,
  part: "",
  moment: NOON + seconds,
  seconds,
  zone: "",
  direction: "",
  snapshot: `${kind}.jpg`,
  clip: "",
  clip_state: "",
  ...more,
});

const visit = (camera, start, end, more = {}) => ({
  camera,
  place: `${camera}/${100 + start}`,
  object: 1,
  label: null,
  zones: [],
  moment: NOON + start,
  end: end === null ? null : NOON + end,
  reviewed: false,
  kept: false,
  by: "",
  events: [event("enter", start)],
  ...more,
});

test("visits of a camera that follow each other are one activity", () => {
  const visits = [
    visit("gate", 0, null),
    visit("yard", -10, 0),
    visit("gate", -100, -30),
    visit("gate", -300, -170),
    visit("gate", -301, -5),
  ];
  const activities = activitiesOf(visits).map(({ camera, visits: some }) => [camera, some.map((one) => one.moment)]);
  assert.deepEqual(activities, [
    ["gate", [NOON, NOON - 100]],
    ["yard", [NOON - 10]],
    ["gate", [NOON - 300, NOON - 301]],
  ]);
});

test("a busy road and midnight end an activity", () => {
  const busy = Array.from({ length: 60 }, (_, i) => visit("gate", -30 * i, -30 * i + 20));
  assert.deepEqual(
    activitiesOf(busy).map(({ visits }) => visits.length),
    [31, 29],
  );
  assert.equal(activitiesOf([visit("gate", -43190, -43180), visit("gate", -43210, -43200)]).length, 2);
});

test("they are counted by class, and say how long they were and what they did", () => {
  const visits = [visit("gate", 0, 9, { label: "person" }), visit("gate", 0, 9, { label: "person" })];
  assert.equal(
    countText([...visits, visit("gate", 0, 9), visit("gate", 0, 9, { object: 0 })]),
    "2 people, 1 object, 1 interruption",
  );
  assert.deepEqual(
    [visit("gate", 0, 75), visit("gate", 0, 600), visit("gate", 0, 9000), visit("gate", 0, null)].map(lengthText),
    ["75 s", "10 min", "2.5 h", "still present"],
  );
  const events = [
    event("enter", 0),
    event("zone-enter", 1, { zone: "door" }),
    event("zone-leave", 2, { zone: "door" }),
    event("zone-enter", 3, { zone: "door" }),
    event("cross", 4, { zone: "line", direction: "left" }),
    event("leave", 5),
  ];
  assert.equal(actsText(visit("gate", 0, 5, { events })), "entered door, crossed line to the left");
});

test("marks go to all events that have an image, by their parts", () => {
  const events = [
    event("enter", 0, { snapshot: "deleted" }),
    event("zone-enter", 1, { snapshot: "a.jpg", clip: "a.mp4" }),
    event("leave", 2, { snapshot: "b.jpg", part: "20261130T110000Z" }),
  ];
  const one = visit("gate", 0, 2, { events });
  assert.equal(bestView(one), events[1]);
});

test("a mark is that of whole visits, with or without images", () => {
  const visits = [visit("gate", 0, 2), visit("yard", 5, null), visit("gate", 9, 9, { events: [] })];
  assert.deepEqual(
    [...numbersByCamera(visits)],
    [
      ["gate", [100, 109]],
      ["yard", [105]],
    ],
  );
});

test("a clip that events share is shown from the event on", () => {
  const first = visit("gate", 0, 9, { events: [event("enter", 0, { snapshot: "1.jpg", clip: "1.mp4" })] });
  const second = visit("gate", 5, 9, { events: [event("enter", 5, { snapshot: "2.jpg", clip: "1.mp4" })] });
  assert.equal(startIn([second, first], second, second.events[0]), 5);
  assert.equal(startIn([second], second, second.events[0]), 0);
});
