#include "sidecar/reconciler.h"

#include <doctest/doctest.h>

#include <string>

using namespace shoal;
using namespace shoal::sidecar;

namespace {

const Endpoint kPlace{IpAddress::v4(10, 0, 0, 1), 80};
const Endpoint kElsewhere{IpAddress::v4(10, 0, 0, 2), 80};
const Instant kStart = Instant{} + 1h;

Observed row(unsigned admin, unsigned weight, const Endpoint& address = kPlace) {
  Observed observed;
  observed.present = true;
  observed.address = address;
  observed.op_state = admin == 0 ? 2 : 0;
  observed.admin = admin;
  observed.weight = weight;
  if (observed.in_maintenance()) observed.maintenance_since = kStart;
  return observed;
}

Step step_of(Goal goal, const Observed& observed, Duration after = 0s) {
  Wanted wanted;
  wanted.goal = goal;
  wanted.weight = 100;
  return next_step(wanted, kPlace, observed, kStart + after).step;
}

}  // namespace

TEST_CASE("The table of steps: goal against what HAProxy shows") {
  struct Row {
    const char* what;
    Observed observed;
    Step in_rotation;
    Step unverified;
    Step out;
    Step absent;
  };
  const Row rows[] = {
      {"not there", Observed{}, Step::kAdd, Step::kNone, Step::kNone, Step::kNone},
      {"in rotation", row(0, 100), Step::kNone, Step::kNone, Step::kTakeOut, Step::kTakeOut},
      {"other weight", row(0, 50), Step::kSetWeight, Step::kSetWeight, Step::kTakeOut, Step::kTakeOut},
      {"enabled, weight not set yet", row(0, 0), Step::kSetWeight, Step::kNone, Step::kTakeOut, Step::kTakeOut},
      {"unfinished add, or our maintenance", row(1, 0), Step::kBringUp, Step::kNone, Step::kNone, Step::kNone},
      {"our drain, cut off", row(8, 0), Step::kBringUp, Step::kNone, Step::kTakeOut, Step::kTakeOut},
      {"operator's maintenance", row(1, 100), Step::kNone, Step::kNone, Step::kNone, Step::kNone},
      {"operator's drain", row(8, 100), Step::kNone, Step::kNone, Step::kNone, Step::kTakeOut},
      {"right name, wrong place", row(0, 100, kElsewhere), Step::kTakeOut, Step::kTakeOut, Step::kTakeOut,
       Step::kTakeOut},
      {"our drain, wrong place", row(8, 0, kElsewhere), Step::kTakeOut, Step::kTakeOut, Step::kTakeOut, Step::kTakeOut},
      {"operator's, wrong place", row(1, 100, kElsewhere), Step::kNone, Step::kNone, Step::kNone, Step::kNone},
  };
  for (const Row& r : rows) {
    CAPTURE(r.what);
    CHECK(static_cast<int>(step_of(Goal::kInRotation, r.observed)) == static_cast<int>(r.in_rotation));
    CHECK(static_cast<int>(step_of(Goal::kUnverified, r.observed)) == static_cast<int>(r.unverified));
    CHECK(static_cast<int>(step_of(Goal::kOut, r.observed)) == static_cast<int>(r.out));
    CHECK(static_cast<int>(step_of(Goal::kAbsent, r.observed)) == static_cast<int>(r.absent));
    CHECK(step_of(Goal::kNone, r.observed) == Step::kNone);
  }
}

TEST_CASE("A delete needs 10 s in maintenance and no request in flight, and says when to ask again") {
  Wanted wanted;
  wanted.goal = Goal::kAbsent;
  Observed observed = row(1, 0);
  observed.drained = true;
  CHECK(next_step(wanted, kPlace, observed, kStart).not_before == kStart + 10s);
  CHECK(step_of(Goal::kAbsent, observed, 9999ms) == Step::kNone);
  CHECK(step_of(Goal::kAbsent, observed, 10s) == Step::kDelete);
  observed.drained = false;
  CHECK(step_of(Goal::kAbsent, observed, 1h) == Step::kNone);
}

TEST_CASE("A server at the wrong place is deleted by the same rules before the right one is added") {
  Observed observed = row(1, 0, kElsewhere);
  observed.drained = true;
  CHECK(step_of(Goal::kInRotation, observed, 9s) == Step::kNone);
  CHECK(step_of(Goal::kInRotation, observed, 10s) == Step::kDelete);
}

TEST_CASE("Every second refusal of a delete is answered by purging idle connections") {
  Observed observed = row(1, 0);
  observed.drained = true;
  const Step expected[] = {Step::kDelete, Step::kDelete, Step::kPurgeIdle, Step::kDelete, Step::kPurgeIdle};
  for (std::uint32_t refusals = 0; refusals < 5; ++refusals) {
    observed.delete_refusals = refusals;
    CHECK(step_of(Goal::kAbsent, observed, 11s) == expected[refusals]);
  }
}

TEST_CASE("A mapped address is the same place") {
  const Endpoint mapped{*IpAddress::parse("::ffff:10.0.0.1"), 80};
  CHECK(step_of(Goal::kInRotation, row(0, 100, mapped)) == Step::kNone);
}

TEST_CASE("In rotation is running, with weight, and nobody holds it back") {
  CHECK(row(0, 1).in_rotation());
  CHECK(!row(0, 0).in_rotation());
  for (unsigned bit = 1; bit <= 0x40; bit *= 2) CHECK(!row(bit, 100).in_rotation());
  Observed down = row(0, 100);
  down.op_state = 0;
  CHECK(!down.in_rotation());
  down.op_state = 3;
  CHECK(!down.in_rotation());
  CHECK(!Observed{}.in_rotation());
}
