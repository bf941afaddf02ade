// Members and intents: what swim reports and what join and leave intents say, put together (gossip-protocol facts 5.4,
// and 5.7 for the same by push/pull).
#include <algorithm>

#include "serf/node.h"

namespace shoal::serf {

void Node::on_member_join(const swim::Record& record) {
  Slot slot = members_.find(record.name.view());
  if (slot == kNoSlot) {
    Text evicted;
    slot = members_.insert(record.name, evicted);
    if (!evicted.empty()) emit(MemberEventKind::kReap, evicted.view());
    if (slot == kNoSlot) {
      ++counters_.members_refused;
      return;
    }
    Member& member = members_[slot];
    member.status = Status::kAlive;
    const BufferedIntent intent = members_.take_intent(record.name.view());
    if (intent.ltime > 0) {
      member.status_ltime = intent.ltime;
      if (intent.leave) member.status = Status::kLeaving;
      member.gone_since = now_;
    }
  } else {
    members_[slot].status = Status::kAlive;
  }
  members_[slot].prune_at = kNever;
  members_[slot].profile = record.profile;
  emit(MemberEventKind::kJoin, record.name.view());
}

void Node::on_member_leave(const swim::Record& record) {
  const Slot slot = members_.find(record.name.view());
  if (slot == kNoSlot) return;
  Member& member = members_[slot];
  switch (member.status) {
    case Status::kLeaving:
      member.status = Status::kLeft;
      member.gone_since = now_;
      return emit(MemberEventKind::kLeave, record.name.view());
    case Status::kAlive:
      member.status = Status::kFailed;
      member.gone_since = now_;
      return emit(MemberEventKind::kFailed, record.name.view());
    case Status::kNone:
    case Status::kLeft:
    case Status::kFailed: return;
  }
}

void Node::on_member_update(const swim::Record& record) {
  const Slot slot = members_.find(record.name.view());
  if (slot == kNoSlot) return;
  members_[slot].profile = record.profile;
  emit(MemberEventKind::kUpdate, record.name.view());
}

void Node::broadcast_join_intent() {
  constexpr std::uint64_t kOwnJoin = 1;  // The later one says all, and after a rename the old name is not ours to tell.
  const wire::JoinIntent intent{clock_.now(), name()};
  clock_.witness(intent.ltime);
  std::array<std::uint8_t, 512> memory;
  ByteWriter writer(memory);
  wire::encode(writer, intent);
  intents_.push(writer.written(), kOwnJoin);
  apply_join_intent(intent);
}

bool Node::apply_leave_intent(const wire::LeaveIntent& intent) {
  const Slot slot = members_.find(intent.node);
  if (slot == kNoSlot) return members_.buffer_intent(intent.node, true, intent.ltime, now_);
  Member& member = members_[slot];
  if (intent.node == name() && leave_ == Leave::kNo) {
    // We are alive: say so, with a later time. Of a leave and a join with the same time everybody keeps what came
    // first, so the time of our own join asks for it too.
    if (intent.ltime >= member.status_ltime) broadcast_join_intent();
    return false;
  }
  if (intent.ltime <= member.status_ltime) return false;
  member.status_ltime = intent.ltime;
  if (member.status == Status::kAlive) {
    member.status = Status::kLeaving;
    member.gone_since = now_;
    emit(MemberEventKind::kLeaving, intent.node);
  } else if (member.status == Status::kFailed) {
    member.status = Status::kLeft;
    member.gone_since = now_;
    emit(MemberEventKind::kLeave, intent.node);
  }
  if (intent.prune) prune(slot);
  return true;
}

void Node::prune(Slot slot) {
  Member& member = members_[slot];
  if (member.status == Status::kLeaving) {
    // It may still be on its way out; the reaper looks again.
    const swim::Timing& timing = options_.swim.timing;
    member.prune_at = now_ + timing.broadcast_timeout + timing.leave_propagate_delay;
    return;
  }
  const Text node = member.name;
  members_.erase(slot);
  emit(MemberEventKind::kReap, node.view());
}

bool Node::apply_join_intent(const wire::JoinIntent& intent) {
  const Slot slot = members_.find(intent.node);
  if (slot == kNoSlot) return members_.buffer_intent(intent.node, false, intent.ltime, now_);
  Member& member = members_[slot];
  if (intent.ltime <= member.status_ltime) return false;
  member.status_ltime = intent.ltime;
  if (member.status == Status::kLeaving && !(intent.node == name() && leave_ != Leave::kNo)) {
    member.status = Status::kAlive;
    member.prune_at = kNever;
    emit(MemberEventKind::kUpdate, intent.node);  // Whoever took it for leaving has to hear.
  }
  return true;
}

void Node::write_state(ByteWriter& out) {
  std::uint32_t lefts = 0;
  for (const Slot slot : members_.slots()) lefts += members_[slot].status == Status::kLeft ? 1U : 0U;
  const wire::SerfStateClocks clocks{clock_.now(), event_clock_.now(), query_clock_.now()};
  wire::SerfStateWriter writer(out, clocks, static_cast<std::uint32_t>(members_.size()), lefts,
                               static_cast<std::uint32_t>(event_buffer_.times_stored()));
  for (const Slot slot : members_.slots()) writer.status(members_[slot].name.view(), members_[slot].status_ltime);
  for (const Slot slot : members_.slots()) {
    if (members_[slot].status == Status::kLeft) writer.left(members_[slot].name.view());
  }
  event_buffer_.walk(
      [&writer](LamportTime ltime, std::size_t count) { writer.events_at(ltime, static_cast<std::uint32_t>(count)); },
      [&writer](std::string_view name, Bytes payload) { writer.event(name, payload); });
}

void Node::merge_state(Bytes state, bool join) {
  // Unless somebody wants it otherwise: what was told before our first join is not for us; what we missed later is.
  const OldEvents wanted = join ? std::exchange(old_events_, OldEvents::kOfFirstJoinIgnored) : OldEvents::kTold;
  ignoring_old_events_ = wanted == OldEvents::kIgnored || (wanted == OldEvents::kOfFirstJoinIgnored && !joined_);
  joined_ = joined_ || join;
  if (!wire::read_serf_state(state, *this)) ++counters_.malformed;
}

void Node::on_clocks(const wire::SerfStateClocks& clocks) {
  const auto witness = [this](LamportClock& clock, LamportTime theirs) {
    if (theirs > 0 && !clock.witness_state(theirs - 1)) ++counters_.clock_jumps;
  };
  witness(clock_, clocks.ltime);
  witness(event_clock_, clocks.event_ltime);
  witness(query_clock_, clocks.query_ltime);
  // Not an absurd time that our clock has not taken: it would make us deaf for good.
  if (ignoring_old_events_) event_buffer_.raise_minimum(std::min(clocks.event_ltime, event_clock_.now()));
}

void Node::on_status(std::string_view node, std::uint64_t ltime, bool left) {
  if (left) {
    if (!clock_.witness_state(ltime + 1)) return void(++counters_.clock_jumps);
    apply_leave_intent({ltime + 1, node, false});
  } else {
    if (!clock_.witness_state(ltime)) return void(++counters_.clock_jumps);
    apply_join_intent({ltime, node});
  }
}

void Node::on_event(const wire::UserEvent& event) {
  if (!event_clock_.witness_state(event.ltime)) return void(++counters_.clock_jumps);
  // More than there is room for are left for the next exchange: what was never taken is not yet known.
  if (out_->user_events.full()) return void(++out_->dropped);
  static_cast<void>(accept_event(event));
}

}  // namespace shoal::serf
