#include "sidecar/desired_state.h"

#include <algorithm>

namespace shoal::sidecar {
namespace {

Wanted out(Goal goal) {
  Wanted result;
  result.goal = goal;
  return result;
}

Wanted in_rotation(const Fact& fact, const Policy& policy) {
  Wanted result;
  const bool reached = fact.reach == Reach::kReached || !policy.verify;
  result.goal = reached ? Goal::kInRotation : Goal::kUnverified;
  result.weight = fact.word.weight;
  return result;
}

Wanted of_a_member_that_is_there(const Fact& fact, const Policy& policy) {
  if (fact.wish == announce::Wish::kMaint) return out(Goal::kOut);
  // Back from the dead, and has not said anything since: stays out, and stays ready to return.
  if (fact.needs_word || fact.shadowed) return out(Goal::kOut);
  switch (fact.word.state) {
    case announce::TaskState::kReady:
      if (fact.wish == announce::Wish::kDrain) return out(Goal::kDrain);
      return in_rotation(fact, policy);
    case announce::TaskState::kUnready:
    case announce::TaskState::kUnknown: return out(Goal::kOut);
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
    case MemberStatus::kRemembered: return of_a_member_that_is_there(fact, policy);
    case MemberStatus::kFailed:
      result.goal = now >= fact.gone_since + policy.grace ? Goal::kAbsent : Goal::kOut;
      if (result.goal == Goal::kOut) result.changes_at = fact.gone_since + policy.grace;
      return result;
    case MemberStatus::kLeaving:
    case MemberStatus::kLeft:
    case MemberStatus::kReaped: return out(Goal::kAbsent);
  }
  SHOAL_UNREACHABLE();
}

}  // namespace shoal::sidecar
