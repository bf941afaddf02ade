// What the registrar answers, made from the sidecar core's Standing of the node.
#include "announce/registrar.h"
#include "base/check.h"

namespace shoal::announce {
namespace {

/// The part of an answer that both kinds share.
template <typename AnyAnswer>
void fill(AnyAnswer& answer, const Standing& standing) {
  answer.server = standing.server;
  answer.proxies_up = standing.proxies_up;
  answer.proxies_total = standing.proxies_total;
}

bool is_in_force(TaskState said, const Standing& standing) {
  switch (said) {
    case TaskState::kReady: return standing.in_rotation;
    case TaskState::kUnready:
    case TaskState::kDeparting: return standing.out;
    case TaskState::kUnknown: return false;
  }
  SHOAL_UNREACHABLE();
}

}  // namespace

void Registrar::on_standing(Instant now, std::string_view node, const Standing& standing, RegistrarOutbox& out) {
  tick(now, out);
  const std::uint32_t slot = members_.find(node);
  if (slot == MemberTable::kNone) return;
  members_[slot].standing = standing;
  members_[slot].standing_valid = true;
  for (std::size_t i = 0; i < waiting_.size();) {
    const Waiting& waiting = waiting_[i];
    const bool is_answered =
        waiting.member == slot && answer_if_settled(waiting.kind, waiting.ref, members_[slot], out);
    if (is_answered) {
      waiting_.swap_erase(i);
    } else {
      ++i;
    }
  }
}

void Registrar::wait_or_answer(Instant now, Kind kind, std::uint64_t ref, std::uint32_t slot, RegistrarOutbox& out) {
  const MemberRecord& member = members_[slot];
  if (answer_if_settled(kind, ref, member, out)) return;
  if (waiting_.full()) return answer_pending(kind, ref, member, out);
  waiting_.push_back({ref, slot, kind, now + options_.pending_after});
}

bool Registrar::answer_if_settled(Kind kind, std::uint64_t ref, const MemberRecord& member, RegistrarOutbox& out) {
  const bool is_overtaken =
      kind == Kind::kAnnounce && (member.departed || member.returns);  // A depart came while it waited.
  if (is_overtaken) {
    answer_as_it_stands(kind, ref, member, out);
    return true;
  }
  if (kind == Kind::kAnnounce && member.said.state == TaskState::kUnknown && !member.has_claim) {
    refuse(kind, ref, Reason::kRetry, "this state word is not known to the sidecar, which is older: not served", out);
    return true;
  }
  if (!member.standing_valid || member.has_claim) return false;
  const TaskState wanted = kind == Kind::kDepart ? TaskState::kDeparting : member.said.state;
  const bool is_settled = is_in_force(wanted, member.standing) || member.standing.reason != Reason::kNone;
  if (is_settled) answer_as_it_stands(kind, ref, member, out);
  return is_settled;
}

void Registrar::answer_as_it_stands(Kind kind, std::uint64_t ref, const MemberRecord& member, RegistrarOutbox& out) {
  // Without a valid standing nothing is known to be in force: then neither accepted nor a reason.
  const Standing none{};
  const Standing& standing = member.standing_valid ? member.standing : none;
  if (kind == Kind::kDepart) {
    DepartAnswer answer;
    fill(answer, standing);
    answer.accepted = standing.out;
    answer.drained = standing.out && standing.drained;
    answer.in_flight = standing.in_flight;
    answer.pending = !standing.out && standing.reason == Reason::kNone;
    if (!standing.out) {
      answer.reason = standing.reason;
      answer.reason_text = standing.reason_text;
    }
    out.add(Answer{ref, out.encode(answer)});
    return;
  }
  AnnounceAnswer answer;
  fill(answer, standing);
  answer.proxies_in_rotation = standing.proxies_in_rotation;
  if (member.departed) {
    answer.reason = Reason::kFix;
    answer.reason_text = ReasonText("this start of the node has departed; only another start can be announced");
    out.add(Answer{ref, out.encode(answer)});
    return;
  }
  if (member.returns) {
    answer.reason = Reason::kRetry;
    answer.reason_text = ReasonText("this start has departed for a while; it returns with a later announce");
    out.add(Answer{ref, out.encode(answer)});
    return;
  }
  answer.accepted = is_in_force(member.said.state, standing);
  if (!answer.accepted) {
    answer.pending = standing.reason == Reason::kNone;
    answer.reason = standing.reason;
    answer.reason_text = standing.reason_text;
  }
  out.add(Answer{ref, out.encode(answer)});
}

void Registrar::answer_pending(Kind kind, std::uint64_t ref, const MemberRecord& member, RegistrarOutbox& out) {
  ++counters_.pending_answers;
  const Standing none{};
  const Standing& standing = member.standing_valid ? member.standing : none;
  if (kind == Kind::kDepart) {
    DepartAnswer answer;
    fill(answer, standing);
    answer.pending = true;
    answer.reason_text = standing.reason_text;
    answer.in_flight = standing.in_flight;
    out.add(Answer{ref, out.encode(answer)});
    return;
  }
  AnnounceAnswer answer;
  fill(answer, standing);
  answer.proxies_in_rotation = standing.proxies_in_rotation;
  answer.pending = true;
  answer.reason_text = standing.reason_text;
  if (member.has_claim) {
    answer.reason_text = ReasonText(
        "the sidecar's solicit to this member's gossip address has not been answered; is its gossip port open?");
  }
  out.add(Answer{ref, out.encode(answer)});
}

void Registrar::refuse(Kind kind, std::uint64_t ref, Reason reason, std::string_view text, RegistrarOutbox& out) {
  if (kind == Kind::kDepart) {
    DepartAnswer answer;
    answer.reason = reason;
    answer.reason_text.assign_cut(text);
    out.add(Answer{ref, out.encode(answer)});
  } else {
    AnnounceAnswer answer;
    answer.reason = reason;
    answer.reason_text.assign_cut(text);
    out.add(Answer{ref, out.encode(answer)});
  }
}

}  // namespace shoal::announce
