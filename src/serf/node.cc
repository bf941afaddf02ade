#include "serf/node.h"

namespace shoal::serf {
namespace {

constexpr std::size_t kIntentQueueMax = 4096;
constexpr std::size_t kQueryQueueMax = 1024;
constexpr std::size_t kEventQueueMax = 1024;
constexpr Duration kReapInterval = 15s;
constexpr Duration kReconnectInterval = 30s;

}  // namespace

std::string_view to_text(MemberEventKind kind) {
  switch (kind) {
    case MemberEventKind::kJoin: return "join";
    case MemberEventKind::kLeaving: return "leaving";
    case MemberEventKind::kLeave: return "leave";
    case MemberEventKind::kFailed: return "failed";
    case MemberEventKind::kUpdate: return "update";
    case MemberEventKind::kReap: return "reap";
  }
  SHOAL_UNREACHABLE();
}

Node::Node(const NodeOptions& options, TextStore& texts, Rng rng, Instant now)
    : options_(options),
      rng_(rng),
      now_(now),
      members_(options.swim.members_max, rng_.next()),
      intents_(kIntentQueueMax),
      queries_queue_(kQueryQueueMax),
      events_(kEventQueueMax),
      coordinates_(rng_.fork()),
      swim_(options.swim, texts, *this, rng_.fork(), now) {
  for (Key& key : options_.swim.keys) key = Key{};  // Swim's keyring alone has them now.
  options_.swim.keys.clear();
  static_cast<void>(clock_.witness_state(options.clock_seen));
  static_cast<void>(event_clock_.witness_state(options.event_clock_seen));
  static_cast<void>(query_clock_.witness_state(options.query_clock_seen));
  if (options.event_clock_seen > 0) event_buffer_.raise_minimum(options.event_clock_seen + 1);
  if (options.query_clock_seen > 0) query_time_min_ = options.query_clock_seen + 1;
}

void Node::begin(Instant now, Outbox& out) {
  SHOAL_ASSERT(now >= now_);
  SHOAL_ASSERT(out.empty());
  now_ = now;
  out_ = &out;
}

void Node::start(Instant now, Bytes meta, Outbox& out) {
  begin(now, out);
  reap_at_ = now + kReapInterval;
  reconnect_at_ = now + rng_.jittered(kReconnectInterval);
  swim_.start(now, meta, out.net);
  end();
}

void Node::on_packet(Instant now, const Endpoint& from, Bytes datagram, Outbox& out) {
  begin(now, out);
  swim_.on_packet(now, from, datagram, out.net);
  give_way();
  end();
}

bool Node::on_stream_accepted(Instant now, const Endpoint& from, swim::StreamId& stream, Outbox& out) {
  begin(now, out);
  const bool taken = swim_.on_stream_accepted(now, from, stream, out.net);
  end();
  return taken;
}

void Node::on_stream_connected(Instant now, swim::StreamId stream, Outbox& out) {
  begin(now, out);
  swim_.on_stream_connected(now, stream, out.net);
  end();
}

void Node::on_stream_bytes(Instant now, swim::StreamId stream, Bytes bytes, Outbox& out) {
  begin(now, out);
  swim_.on_stream_bytes(now, stream, bytes, out.net);
  give_way();
  end();
}

void Node::on_stream_closed(Instant now, swim::StreamId stream, Outbox& out) {
  begin(now, out);
  swim_.on_stream_closed(now, stream, out.net);
  end();
}

void Node::set_meta(Instant now, Bytes meta, Outbox& out) {
  begin(now, out);
  swim_.set_meta(now, meta, out.net);
  give_way();
  end();
}

void Node::join(Instant now, const Endpoint& to, Outbox& out, OldEvents old_events) {
  begin(now, out);
  old_events_ = old_events;
  newcomer_ = swim_.members().size() == 1;
  join_intent_due_ = true;
  swim_.push_pull(now, to, true, out.net);
  end();
}

void Node::rejoin(Instant now, const Endpoint& to, Outbox& out) {
  begin(now, out);
  newcomer_ = swim_.members().size() == 1;
  swim_.push_pull(now, to, true, out.net);
  end();
}

void Node::push_pull(Instant now, const Endpoint& to, Outbox& out) {
  begin(now, out);
  swim_.push_pull(now, to, false, out.net);
  end();
}

void Node::leave(Instant now, Outbox& out) {
  begin(now, out);
  if (leave_ == Leave::kNo) {
    leave_ = Leave::kIntent;
    leave_deadline_ = now + options_.swim.timing.broadcast_timeout;
    const wire::LeaveIntent intent{clock_.now(), name(), false};
    clock_.increment();
    std::array<std::uint8_t, 512> memory;
    ByteWriter writer(memory);
    wire::encode(writer, intent);
    leave_token_ = intents_.push(writer.written());
    apply_leave_intent(intent);
    advance_leave();
  }
  end();
}

bool Node::force_leave(Instant now, std::string_view node, bool prune, Outbox& out) {
  if (node.empty() || node.size() > swim::kNameBytesMax || node == name()) return false;
  begin(now, out);
  const wire::LeaveIntent intent{clock_.now(), node, prune};
  clock_.increment();
  std::array<std::uint8_t, 512> memory;
  ByteWriter writer(memory);
  wire::encode(writer, intent);
  SHOAL_ASSERT(writer.ok());
  intents_.push(writer.written());
  apply_leave_intent(intent);
  end();
  return true;
}

void Node::advance_leave() {
  switch (leave_) {
    case Leave::kNo:
    case Leave::kDone: return;
    case Leave::kIntent:
      // The intent has to be out before the death, or peers would call us failed (trap 15).
      if (intents_.pending(leave_token_) && swim_.others_alive() > 0 && now_ < leave_deadline_) return;
      // And those whom we have told have to have told the others: without this pause one in six members of a cluster
      // of eight heard of the death first (simulated), and called us failed for a moment.
      leave_ = Leave::kIntentOut;
      leave_deadline_ = now_ + (swim_.others_alive() > 1 ? options_.swim.timing.gossip_interval : Duration{});
      [[fallthrough]];
    case Leave::kIntentOut:
      if (now_ < leave_deadline_) return;
      leave_ = Leave::kSwim;
      swim_.leave(now_, out_->net);
      return;
    case Leave::kSwim:
      if (!swim_.left()) return;
      leave_ = Leave::kDone;
      leave_deadline_ = kNever;
      out_->left = true;
      return;
  }
}

void Node::on_deadline(Instant now, Outbox& out) {
  begin(now, out);
  swim_.on_deadline(now, out.net);
  advance_leave();
  if (dispute_.deadline <= now) settle_dispute();
  if (reap_at_ <= now) {
    reap_at_ = now + kReapInterval;
    reap();
  }
  if (reconnect_at_ <= now) {
    reconnect_at_ = now + rng_.jittered(kReconnectInterval);
    if (leave_ == Leave::kNo) reconnect();
  }
  end();
}

Instant Node::next_deadline() const {
  Instant next = earlier(earlier(swim_.next_deadline(), dispute_.deadline), earlier(reap_at_, reconnect_at_));
  if (leave_ == Leave::kIntent || leave_ == Leave::kIntentOut) next = earlier(next, leave_deadline_);
  return next;
}

Duration Node::default_query_timeout() const {
  const std::uint32_t digits = swim::retransmit_limit(1, swim_.others_alive() + 1);
  return options_.swim.timing.gossip_interval * 16 * (digits == 0 ? 1 : digits);
}

void Node::emit(MemberEventKind kind, std::string_view node) {
  if (out_->members.full()) {
    ++out_->dropped;
    return;
  }
  MemberEvent& event = out_->members.emplace_back();
  event.kind = kind;
  event.name = NodeName(node);
}

void Node::recall(Member& member) {
  // It said that it leaves, long ago, and swim still has it alive: the word was not its own, or is outlived. Serf
  // itself would call it leaving for ever when the join intent that contradicts carries the same time.
  const swim::Timing& timing = options_.swim.timing;
  if (member.status != Status::kLeaving || member.name == name()) return;
  if (now_ - member.gone_since <= 2 * (timing.broadcast_timeout + timing.leave_propagate_delay)) return;
  const swim::Slot slot = swim_.members().find(member.name.view());
  if (slot == swim::kNoSlot || swim_.members()[slot].state != swim::State::kAlive) return;
  member.status = Status::kAlive;
  member.prune_at = kNever;
  emit(MemberEventKind::kUpdate, member.name.view());
}

void Node::reap() {
  for (std::size_t i = 0; i < members_.slots().size();) {
    const Slot slot = members_.slots()[i];
    recall(members_[slot]);
    const Member& member = members_[slot];
    const bool gone = member.status == Status::kFailed || member.status == Status::kLeft;
    // Serf prunes whoever is still leaving by then, dead or not. Whom swim has alive would be nobody's member from then
    // on: swim tells of a join only when somebody comes back from the dead.
    if (gone && (member.prune_at <= now_ || now_ - member.gone_since > options_.reap_after)) {
      const Text node = member.name;
      members_.erase(slot);  // Puts another one into place i.
      emit(MemberEventKind::kReap, node.view());
    } else {
      ++i;
    }
  }
}

void Node::reconnect() {
  // With probability failed / (living + failed), one failed member is tried again, as serf does.
  const std::size_t failed = members_.count(Status::kFailed);
  const std::size_t living = members_.size() - failed - members_.count(Status::kLeft);
  if (failed == 0 || rng_.below(std::uint64_t{living + failed}) >= failed) return;
  joined_ = true;  // Whoever has lost somebody is no newcomer.
  std::size_t pick = rng_.below(std::uint64_t{failed});
  for (const Slot slot : members_.slots()) {
    if (members_[slot].status != Status::kFailed) continue;
    if (pick-- == 0) return swim_.push_pull(now_, members_[slot].endpoint(), true, out_->net);
  }
}

void Node::add_broadcasts(wire::PacketSealer& sealer, std::size_t budget, std::size_t overhead) {
  const std::uint32_t limit = swim::retransmit_limit(options_.swim.timing.retransmit_mult, members_.size());
  for (swim::BroadcastQueue* queue : {&intents_, &queries_queue_, &events_}) {
    if (queue->empty()) continue;
    const std::size_t room = wire::kCompoundPartsMax - sealer.parts();
    budget = queue->take(budget, overhead, limit, room, [&sealer](Bytes payload) {
      std::array<std::uint8_t, swim::BroadcastQueue::kMessageBytesMax + 1> memory;
      ByteWriter message(memory);
      message.u8(static_cast<std::uint8_t>(wire::MessageType::kUser));
      message.put(payload);
      SHOAL_ASSERT(sealer.add(message.written()));
    });
  }
}

void Node::on_name_conflict(const swim::Record& existing, const Endpoint& other, bool joining) {
  // The same address in its other form is we ourselves, as an earlier life told it.
  if (existing.name == name() && !same_place(existing.endpoint(), other)) {
    if (joining && !joined_ && newcomer_) {
      // The cluster that we come into has a member of this name: no need to ask whose it is. And a lone serf agent that
      // asks and hears nobody would shut down; under another name we are the one who answers it.
      dispute_.giving_way = true;
      dispute_.other = other;
    } else {
      open_dispute(other);
    }
  }
  tell(out_->conflicts, {NodeName(existing.name), existing.endpoint(), other});
}

void Node::on_incarnations_spent() {
  dispute_.giving_way = true;
  dispute_.other = {};
}

void Node::on_join_result(const swim::JoinResult& result) {
  if (result.ok && join_intent_due_) {
    join_intent_due_ = false;
    broadcast_join_intent();
  }
  if (out_->joins.full()) {
    ++out_->dropped;
    return;
  }
  JoinEvent& event = out_->joins.emplace_back();
  event.to = result.to;
  event.ok = result.ok;
  event.error.assign_cut(result.error);
}

void Node::write_ping_payload(ByteWriter& out) {
  const Coordinate& own = coordinates_.own();
  wire::encode_coordinate(out, {own.vec, own.error, own.adjustment, own.height});
}

void Node::on_ping_payload(const swim::Record& record, Duration rtt, Bytes payload) {
  const Slot slot = members_.find(record.name.view());
  if (slot == kNoSlot) return;
  wire::Coordinate told;
  switch (wire::decode_coordinate(payload, told)) {
    case wire::CoordinateStatus::kNone:
    case wire::CoordinateStatus::kOtherVersion: return;
    case wire::CoordinateStatus::kMalformed:
    case wire::CoordinateStatus::kOtherDimension: return void(++counters_.coordinates_refused);
    case wire::CoordinateStatus::kOk: break;
  }
  const Coordinate other{told.vec, told.error, told.adjustment, told.height};
  PeerCoordinate fresh;
  PeerCoordinate* const known = members_.coordinate(slot);
  const CoordinateVerdict verdict = coordinates_.update(known != nullptr ? *known : fresh, other, rtt);
  if (verdict != CoordinateVerdict::kTaken) return void(++counters_.coordinates_refused);
  if (known == nullptr) members_.keep_coordinate(slot, fresh);
}

std::optional<Duration> Node::round_trip(std::string_view node) const {
  if (node == name()) return Duration{};
  const Member* member = members_.get(node);
  const PeerCoordinate* peer = member == nullptr ? nullptr : members_.coordinate(*member);
  if (peer == nullptr) return std::nullopt;
  return estimate(coordinates_.own(), peer->at);
}

void Node::on_datagrams_blocked(const swim::Record& record) {
  tell(out_->blocked, {NodeName(record.name), record.endpoint()});
}

void Node::on_foreign(const Endpoint& from, swim::Refusal why) { tell(out_->foreign, {from, why}); }

bool Node::set_keys(std::span<const Key> keys) {
  wire::Keyring& ring = swim_.keyring();
  if (ring.empty() || keys.empty() || keys.size() > wire::Keyring::kKeysMax) return false;
  for (const Key& key : keys) {
    if (!wire::AeadKey::size_ok(key.size())) return false;
  }
  // Nothing is received meanwhile, so nothing misses a key.
  ring.clear();
  for (const Key& key : keys) SHOAL_ASSERT(ring.add(key.view()) == wire::KeyResult::kOk);
  return true;
}

void Node::on_stranger_ping(const Endpoint& source) { tell(out_->strangers, {source}); }

}  // namespace shoal::serf
