#include "sidecar/desired_state.h"

#include <doctest/doctest.h>

#include <string>

using namespace shoal;
using namespace shoal::sidecar;

namespace {

const Instant kNow = Instant{} + 1h;

Fact ready_fact() {
  Fact fact;
  fact.used = fact.is_member = fact.has_word = true;
  fact.status = MemberStatus::kAlive;
  fact.addr = IpAddress::v4(10, 0, 0, 1);
  fact.word.port = 80;
  fact.word.weight = 7;
  fact.word.pool = announce::PoolName("shoal");
  fact.reach = Reach::kReached;
  return fact;
}

Goal goal_of(const Fact& fact) { return wanted(fact, Policy{}, kNow).goal; }

}  // namespace

TEST_CASE("Member status against the announced state") {
  using S = MemberStatus;
  using T = announce::TaskState;
  const T states[] = {T::kReady, T::kUnready, T::kUnknown, T::kDeparting};
  struct Row {
    S status;
    Goal goals[4];
  };
  const Row rows[] = {
      {S::kAlive, {Goal::kInRotation, Goal::kOut, Goal::kOut, Goal::kOut}},
      {S::kSuspect, {Goal::kInRotation, Goal::kOut, Goal::kOut, Goal::kOut}},
      {S::kLeaving, {Goal::kAbsent, Goal::kAbsent, Goal::kAbsent, Goal::kAbsent}},
      {S::kLeft, {Goal::kAbsent, Goal::kAbsent, Goal::kAbsent, Goal::kAbsent}},
      {S::kReaped, {Goal::kAbsent, Goal::kAbsent, Goal::kAbsent, Goal::kAbsent}},
      {S::kFailed, {Goal::kOut, Goal::kOut, Goal::kOut, Goal::kOut}},
  };
  for (const Row& row : rows) {
    for (int i = 0; i < 4; ++i) {
      Fact fact = ready_fact();
      fact.status = row.status;
      fact.gone_since = kNow;
      fact.word.state = states[i];
      CHECK(static_cast<int>(goal_of(fact)) == static_cast<int>(row.goals[i]));
    }
  }
}

TEST_CASE("Failed is kept for grace, to the moment") {
  Fact fact = ready_fact();
  fact.status = MemberStatus::kFailed;
  fact.gone_since = kNow - 30s + 1ms;
  CHECK(goal_of(fact) == Goal::kOut);
  CHECK(wanted(fact, Policy{}, kNow).changes_at == kNow + 1ms);
  fact.gone_since = kNow - 30s;
  CHECK(goal_of(fact) == Goal::kAbsent);
}

TEST_CASE("What a ready word needs besides") {
  Fact fact = ready_fact();
  CHECK(wanted(fact, Policy{}, kNow).weight == 7);
  fact.reach = Reach::kFailed;
  CHECK(goal_of(fact) == Goal::kUnverified);
  Policy trusting;
  trusting.verify = false;
  CHECK(wanted(fact, trusting, kNow).goal == Goal::kInRotation);
  fact = ready_fact();
  fact.needs_word = true;
  CHECK(goal_of(fact) == Goal::kOut);
  fact = ready_fact();
  fact.shadowed = true;
  CHECK(goal_of(fact) == Goal::kOut);
  fact = ready_fact();
  fact.has_word = false;
  CHECK(goal_of(fact) == Goal::kNone);
  fact = ready_fact();
  fact.departed = true;
  fact.is_member = false;  // A depart counts whatever is known of the member.
  CHECK(goal_of(fact) == Goal::kAbsent);
}

TEST_CASE("Objections: what stands is left alone, nothing is added") {
  struct Row {
    Objection expected;
    void (*spoil)(Fact&);
  };
  const Row rows[] = {
      {Objection::kBadPort, [](Fact& f) { f.word.port = 0; }},
      {Objection::kBadPool, [](Fact& f) { f.word.pool = announce::PoolName("a/b"); }},
      {Objection::kBadPool, [](Fact& f) { f.word.pool = announce::PoolName(""); }},
      {Objection::kNotAMember, [](Fact& f) { f.is_member = false; }},
      {Objection::kBadAddress, [](Fact& f) { f.addr = *IpAddress::parse("0.0.0.0"); }},
      {Objection::kBadAddress, [](Fact& f) { f.addr = *IpAddress::parse("224.0.0.1"); }},
      {Objection::kBadAddress, [](Fact& f) { f.addr = *IpAddress::parse("fe80::1"); }},
      {Objection::kLoopback, [](Fact& f) { f.addr = *IpAddress::parse("::ffff:127.0.0.1"); }},
      {Objection::kNameTaken, [](Fact& f) { f.name_taken = true; }},
  };
  for (const Row& row : rows) {
    Fact fact = ready_fact();
    row.spoil(fact);
    const Wanted result = wanted(fact, Policy{}, kNow);
    CHECK(static_cast<int>(result.objection) == static_cast<int>(row.expected));
    CHECK(result.goal == Goal::kNone);
  }
  Fact local = ready_fact();
  local.addr = *IpAddress::parse("127.0.0.1");
  Policy policy;
  policy.allow_loopback = true;
  CHECK(wanted(local, policy, kNow).goal == Goal::kInRotation);
  policy.pools.push_back(*haproxy::BackendName::parse("web"));
  CHECK(wanted(local, policy, kNow).objection == Objection::kPoolNotAllowed);
}
