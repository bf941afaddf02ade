#include "sidecar/desired_state.h"

#include <algorithm>

namespace shoal::sidecar {
namespace {

// A member that was called failed and is there again is asked for its word at once; until it has had the time, what
// stands stays.
constexpr Duration kBackWithoutAWord = 60s;

Wanted out(Goal goal, Ask ask = Ask::kNothing) {
  Wanted result;
  result.goal = goal;
  result.ask = ask;
  return result;
}

Wanted in_rotation(const Fact& fact, const Policy& policy) {
  Wanted result;
  const bool reached = fact.reach == Reach::kReached || !policy.verify;
  result.goal = reached ? Goal::kInRotation : Goal::kUnverified;
  result.weight = fact.word.weight;
  return result;
}

Wanted of_one_that_failed(const Fact& fact, const Policy& policy, Instant now) {
  const bool is_out_anyway = fact.shadowed || fact.wish != announce::Wish::kNone;
  Wanted result = out(Goal::kAbsent, is_out_anyway ? Ask::kNothing : Ask::kFloor);
  if (now >= fact.gone_since + policy.grace) return result;
  result.goal = Goal::kOut;
  result.changes_at = fact.gone_since + policy.grace;
  return result;
}

/// Back from the dead, and has not said anything since: what is out stays out, ready to return.
Wanted of_one_that_is_back(const Fact& fact, Instant now) {
  const Instant patient_until = fact.back_since == kNever ? now : fact.back_since + kBackWithoutAWord;
  Wanted result = out(Goal::kOut, now < patient_until ? Ask::kPlace : Ask::kFloor);
  if (now < patient_until) result.changes_at = patient_until;
  return result;
}

Wanted of_a_member_that_is_there(const Fact& fact, const Policy& policy, Instant now) {
  if (fact.shadowed || fact.wish == announce::Wish::kMaint) return out(Goal::kOut);
  if (fact.needs_word) return of_one_that_is_back(fact, now);
  switch (fact.word.state) {
    case announce::TaskState::kReady:
      if (fact.wish == announce::Wish::kDrain) return out(Goal::kDrain);
      return in_rotation(fact, policy);
    case announce::TaskState::kUnready:
    case announce::TaskState::kUnknown: return out(Goal::kOut, Ask::kFloor);
    case announce::TaskState::kDeparting: return out(Goal::kAbsent);
  }
  SHOAL_UNREACHABLE();
}

}  // namespace

Objection objection(const Fact& fact, const Policy& policy) {
  if (!fact.has_word) return Objection::kNone;
  if (fact.name_taken) return Objection::kNameTaken;
  if (fact.word.port == 0) return Objection::kBadPort;
  const auto pool = haproxy::BackendName::parse(fact.word.pool);
  if (!pool) return Objection::kBadPool;
  if (!policy.pools.empty() && std::find(policy.pools.begin(), policy.pools.end(), *pool) == policy.pools.end()) {
    return Objection::kPoolNotAllowed;
  }
  if (!fact.is_member || fact.addr.empty()) return Objection::kNotAMember;
  if (fact.addr.is_unspecified() || fact.addr.is_multicast() || fact.addr.is_link_local()) {
    return Objection::kBadAddress;
  }
  if (fact.addr.is_loopback() && !policy.allow_loopback) return Objection::kLoopback;
  return Objection::kNone;
}

Wanted wanted(const Fact& fact, const Policy& policy, Instant now) {
  Wanted result;
  result.objection = objection(fact, policy);
  if (!fact.has_word) return result;
  if (fact.departed) {
    result.goal = Goal::kAbsent;
    return result;
  }
  if (result.objection != Objection::kNone) return result;
  switch (fact.status) {
    case MemberStatus::kAlive:
    case MemberStatus::kSuspect:
    case MemberStatus::kRemembered: return of_a_member_that_is_there(fact, policy, now);
    case MemberStatus::kFailed: return of_one_that_failed(fact, policy, now);
    case MemberStatus::kReaped:
      if (fact.failed_last) return of_one_that_failed(fact, policy, now);
      return out(Goal::kAbsent);
    case MemberStatus::kLeaving:
    case MemberStatus::kLeft: return out(Goal::kAbsent);
  }
  SHOAL_UNREACHABLE();
}

}  // namespace shoal::sidecar
