#include "swim/core.h"

namespace shoal::swim {

std::string_view to_text(Refusal refusal) {
  switch (refusal) {
    case Refusal::kMalformed: return "malformed";
    case Refusal::kUnsupported: return "unsupported";
    case Refusal::kBadLabel: return "bad_label";
    case Refusal::kEncrypted: return "encrypted";
    case Refusal::kNotEncrypted: return "not_encrypted";
    case Refusal::kBadKey: return "bad_key";
    case Refusal::kBadCrc: return "bad_crc";
    case Refusal::kBadCompress: return "bad_compress";
    case Refusal::kBadCompound: return "bad_compound";
    case Refusal::kBadVersions: return "bad_versions";
    case Refusal::kBadAddress: return "bad_address";
    case Refusal::kNameTooLong: return "name_too_long";
    case Refusal::kMetaTooLong: return "meta_too_long";
    case Refusal::kNotAllowed: return "not_allowed";
    case Refusal::kTableFull: return "table_full";
    case Refusal::kConflict: return "name_conflict";
    case Refusal::kWrongNode: return "wrong_node";
    case Refusal::kTooManyStreams: return "too_many_streams";
    case Refusal::kBadStream: return "bad_stream";
    case Refusal::kStreamTimeout: return "stream_timeout";
    case Refusal::kTooManyProbes: return "too_many_probes";
    case Refusal::kCount: break;
  }
  SHOAL_UNREACHABLE();
}

bool is_foreign(Refusal refusal) {
  return refusal == Refusal::kBadLabel || refusal == Refusal::kEncrypted || refusal == Refusal::kNotEncrypted ||
         refusal == Refusal::kBadKey;
}

Core::Core(const Options& options, TextStore& texts, Upper& upper, Rng rng, Instant now)
    : options_(options),
      texts_(texts),
      upper_(upper),
      rng_(rng),
      now_(now),
      members_(options.members_max, rng_.next(), texts),
      suspects_(options.members_max),
      awareness_(options.timing.awareness_max),
      queue_(options.broadcasts_max == 0 ? options.members_max + 16 : options.broadcasts_max),
      errands_(kErrandsMax),
      sessions_(options.inbound_streams_max + options.outbound_streams_max),
      nonces_(options.nonce_seed),
      security_{&keyring_, options_.label.view(), &nonces_},
      sealer_(options.compress),
      plain_(stream_bytes_max(options.members_max)),
      inflate_(stream_bytes_max(options.members_max)),
      picks_(64) {
  SHOAL_ASSERT(options.outbound_streams_max > kStreamsKept);
  for (const auto& key : options.keys) SHOAL_ASSERT(keyring_.add(key.view()) == wire::KeyResult::kOk);
  for (auto& key : options_.keys) key = {};  // The ring alone has them now, and wipes what it forgets.
  options_.keys.clear();
  deadlines_.fill(kNever);
  while (!sessions_.full()) sessions_.emplace_back(stream_bytes_max(options.members_max));
}

void Core::begin(Instant now) {
  SHOAL_ASSERT(now >= now_);
  now_ = now;
}

void Core::start(Instant now, Bytes meta, Outbox& out) {
  begin(now);
  SHOAL_ASSERT(self_ == kNoSlot);
  out_ = &out;
  self_ = members_.insert(options_.name, rng_);
  members_[self_].profile = Profile(texts_, options_.advertise, options_.versions, meta);
  const Timing& t = options_.timing;
  deadline(Timer::kProbe) = now + rng_.below(t.probe_interval) + t.probe_interval;
  deadline(Timer::kGossip) = now + rng_.below(t.gossip_interval);
  deadline(Timer::kPushPull) = now + rng_.below(t.push_pull_interval) + t.push_pull_interval;
  announce_self();
  out_ = nullptr;
}

void Core::on_packet(Instant now, const Endpoint& from, Bytes datagram, Outbox& out) {
  begin(now);
  out_ = &out;
  sender_ = from;
  in_datagram_ = true;
  answers_ = 0;
  ++counters_.packets_in;
  switch (opener_.open(datagram, *this, security_)) {
    case wire::PacketFault::kNone: break;
    case wire::PacketFault::kEmpty: refuse(Refusal::kMalformed); break;
    case wire::PacketFault::kBadLabel: refuse_foreign(from, Refusal::kBadLabel); break;
    case wire::PacketFault::kNotEncrypted: refuse_foreign(from, Refusal::kNotEncrypted); break;
    case wire::PacketFault::kBadKey: refuse_foreign(from, Refusal::kBadKey); break;
    case wire::PacketFault::kBadPadding: refuse(Refusal::kMalformed); break;
    case wire::PacketFault::kBadCrc: refuse(Refusal::kBadCrc); break;
    case wire::PacketFault::kBadCompress: refuse(Refusal::kBadCompress); break;
    case wire::PacketFault::kTruncatedCompound:
    case wire::PacketFault::kEmptyPart:
    case wire::PacketFault::kTooMany:
    case wire::PacketFault::kTooDeep: refuse(Refusal::kBadCompound); break;
    case wire::PacketFault::kUnsupported: refuse(Refusal::kUnsupported); break;
    case wire::PacketFault::kCount: SHOAL_UNREACHABLE();
  }
  in_datagram_ = false;
  out_ = nullptr;
}

void Core::refuse_foreign(const Endpoint& from, Refusal why) {
  refuse(why);
  upper_.on_foreign(from, why);
}

void Core::on_message(wire::MessageType type, Bytes body) {
  switch (type) {
    case wire::MessageType::kPing: return on_ping(body);
    case wire::MessageType::kIndirectPing: return on_indirect_ping(body);
    case wire::MessageType::kAck: return on_ack(body);
    case wire::MessageType::kNack: return on_nack(body);
    case wire::MessageType::kSuspect: {
      wire::Suspect m;
      return wire::decode(body, m) ? apply_suspect(m) : refuse(Refusal::kMalformed);
    }
    case wire::MessageType::kDead: {
      wire::Dead m;
      return wire::decode(body, m) ? apply_dead(m) : refuse(Refusal::kMalformed);
    }
    case wire::MessageType::kAlive: {
      AliveNews news{.message = {}, .from_datagram = true, .local = false};
      return wire::decode(body, news.message) ? apply_alive(news) : refuse(Refusal::kMalformed);
    }
    case wire::MessageType::kUser: return upper_.on_user_message(body, UserSource{});
    case wire::MessageType::kPushPull:
    case wire::MessageType::kCompound:
    case wire::MessageType::kCompress:
    case wire::MessageType::kEncrypt:
    case wire::MessageType::kHasCrc:
    case wire::MessageType::kErr:
    case wire::MessageType::kHasLabel: return refuse(Refusal::kUnsupported);
  }
  refuse(Refusal::kUnsupported);
}

Endpoint Core::source_or_sender(Bytes addr, std::uint16_t port) const {
  const auto ip = IpAddress::from_raw(addr);
  return ip && port != 0 ? Endpoint{*ip, port} : sender_;
}

// Whether one more message of the datagram in hand may be answered by a datagram.
bool Core::may_answer() {
  if (answers_ == kAnswersMax) {
    refuse(Refusal::kTooManyProbes);
    return false;
  }
  ++answers_;
  return true;
}

void Core::on_ping(Bytes body) {
  wire::Ping ping;
  if (!wire::decode(body, ping)) return refuse(Refusal::kMalformed);
  const Endpoint reply_to = source_or_sender(ping.source_addr, ping.source_port);
  if (!ping.node.empty() && ping.node != options_.name.view()) {
    refuse(Refusal::kWrongNode);
    if (allowed(reply_to.addr)) upper_.on_stranger_ping(reply_to);
    return;
  }
  if (!may_answer()) return;
  std::array<std::uint8_t, kPingPayloadBytesMax> payload_memory;
  ByteWriter payload(payload_memory);
  upper_.write_ping_payload(payload);
  std::array<std::uint8_t, kPingPayloadBytesMax + 64> memory;
  ByteWriter writer(memory);
  wire::encode(writer, wire::Ack{ping.seq_no, payload.ok() ? payload.written() : Bytes{}});
  send_with_piggyback(reply_to, writer.written());
  // It knows us and we do not know it: we were restarted under our old name, and nobody has noticed.
  const bool stranger = !ping.source_node.empty() && members_.find(ping.source_node) == kNoSlot;
  if (stranger && !leaving() && allowed(reply_to.addr)) upper_.on_stranger_ping(reply_to);
}

void Core::on_indirect_ping(Bytes body) {
  wire::IndirectPing ind;
  if (!wire::decode(body, ind)) return refuse(Refusal::kMalformed);
  const auto target = IpAddress::from_raw(ind.target);
  if (!target) return refuse(Refusal::kBadAddress);
  if (errands_.full()) return refuse(Refusal::kTooManyProbes);
  if (!may_answer()) return;
  const std::uint32_t seq_no = ++seq_no_;
  std::array<std::uint8_t, 768> memory;
  ByteWriter writer(memory);
  wire::encode(writer, wire::Ping{seq_no, ind.node, options_.advertise.addr.raw(), options_.advertise.port,
                                  options_.name.view()});
  if (!writer.ok()) return refuse(Refusal::kNameTooLong);
  errands_.push_back(Errand{seq_no, ind.seq_no, source_or_sender(ind.source_addr, ind.source_port),
                            now_ + options_.timing.probe_timeout, ind.nack});
  send_with_piggyback(Endpoint{*target, ind.port != 0 ? ind.port : options_.advertise.port}, writer.written());
}

void Core::on_ack(Bytes body) {
  wire::Ack ack;
  if (!wire::decode(body, ack)) return refuse(Refusal::kMalformed);
  if (probe_.phase != Probe::Phase::kIdle && ack.seq_no == probe_.seq_no) {
    // Once others were asked, the answer may have come by way of them: its time says nothing.
    const Slot target = probed();
    if (probe_.phase == Probe::Phase::kDirect && target != kNoSlot) {
      upper_.on_ping_payload(members_[target], now_ - probe_.sent, ack.payload);
    }
    return end_probe(true);
  }
  for (std::size_t i = 0; i < errands_.size(); ++i) {
    if (errands_[i].seq_no != ack.seq_no) continue;
    const Errand errand = errands_[i];
    errands_.swap_erase(i);
    std::array<std::uint8_t, 64> memory;
    ByteWriter writer(memory);
    wire::encode(writer, wire::Ack{errand.their_seq_no, {}});
    return send_with_piggyback(errand.reply_to, writer.written());
  }
}

void Core::on_nack(Bytes body) {
  wire::Nack nack;
  if (!wire::decode(body, nack)) return refuse(Refusal::kMalformed);
  if (probe_.phase == Probe::Phase::kIndirect && nack.seq_no == probe_.seq_no) ++probe_.nacks_received;
}

void Core::expire_errands() {
  for (std::size_t i = 0; i < errands_.size();) {
    if (errands_[i].deadline > now_) {
      ++i;
      continue;
    }
    const Errand errand = errands_[i];
    errands_.swap_erase(i);
    if (!errand.nack) continue;
    std::array<std::uint8_t, 64> memory;
    ByteWriter writer(memory);
    wire::encode(writer, wire::Nack{errand.their_seq_no});
    send_with_piggyback(errand.reply_to, writer.written());
  }
}

std::uint32_t Core::limit() const { return retransmit_limit(options_.timing.retransmit_mult, members_.size()); }

std::size_t Core::others_alive() const {
  std::size_t alive = 0;
  for (const Slot slot : members_.slots()) {
    if (slot != self_ && !members_[slot].gone()) ++alive;
  }
  return alive;
}

void Core::fill_broadcasts(std::size_t budget, std::size_t overhead_ml) {
  const std::size_t room = wire::kCompoundPartsMax - sealer_.parts();
  const std::size_t left =
      queue_.take(budget, overhead_ml, limit(), room, [this](Bytes message) { SHOAL_ASSERT(sealer_.add(message)); });
  // The upper layer's messages need a type byte more each.
  if (left > overhead_ml + 1) upper_.add_broadcasts(sealer_, left, overhead_ml + 1);
}

void Core::send_sealed(const Endpoint& to, bool with_crc) {
  const MutableBytes memory = out_->packet_begin();
  if (memory.empty()) return;
  const std::size_t size = sealer_.finish(with_crc, memory);
  if (size > 0) out_->packet_end(to, size);
}

void Core::send_with_piggyback(const Endpoint& to, Bytes message) {
  sealer_.begin(security_);
  if (!sealer_.add(message)) return;
  const std::size_t used = message.size() + wire::kCompoundHeaderBytes + wire::packet_overhead(security_);
  if (used < wire::kPacketBudget) fill_broadcasts(wire::kPacketBudget - used, wire::kCompoundPartBytes);
  send_sealed(to, false);
}

void Core::send_user(Instant now, const Endpoint& to, Bytes payload, Outbox& out) {
  begin(now);
  std::array<std::uint8_t, wire::kPacketBudget> memory;
  ByteWriter message(memory);
  message.u8(static_cast<std::uint8_t>(wire::MessageType::kUser));
  message.put(payload);
  Outbox* const outer = std::exchange(out_, &out);
  sealer_.begin(security_);
  if (message.ok() && sealer_.add(message.written())) send_sealed(to, false);
  out_ = outer;
}

void Core::gossip() {
  // The departing tell quickly: their time is short, and the queue stops at its limit all the same.
  const Duration interval = options_.timing.gossip_interval;
  deadline(Timer::kGossip) = now_ + (leaving() ? interval / 4 : interval);
  if (options_.timing.gossip_nodes == 0 || members_.size() < 2) return;
  draw_slots(members_.slots(), options_.timing.gossip_nodes, rng_, picks_, [this](Slot slot) {
    const Record& record = members_[slot];
    const bool lately_dead =
        record.state == State::kDead && now_ - record.state_change <= options_.timing.gossip_to_the_dead;
    return slot != self_ && (!record.gone() || lately_dead);
  });
  for (const Slot slot : picks_) {
    const std::size_t budget = wire::kPacketBudget - wire::kCompoundHeaderBytes - wire::packet_overhead(security_);
    sealer_.begin(security_);
    if (members_[slot].state == State::kDead) {
      // It may be alive and refute. But with few transmissions a message, those that go to the dead must not count:
      // of a leave's two in a small cluster both were seen to go to a dead member, and the living one never heard.
      queue_.offer(budget, wire::kCompoundPartBytes, wire::kCompoundPartsMax,
                   [this](Bytes message) { SHOAL_ASSERT(sealer_.add(message)); });
    } else {
      fill_broadcasts(budget, wire::kCompoundPartBytes);
    }
    if (sealer_.parts() > 0) send_sealed(members_[slot].endpoint(), members_[slot].versions()[1] >= 5);
  }
}

void Core::set_meta(Instant now, Bytes meta, Outbox& out) {
  begin(now);
  out_ = &out;
  members_[self_].profile = Profile(texts_, options_.advertise, options_.versions, meta);
  if (!leaving()) announce_self();
  out_ = nullptr;
}

void Core::rename(Instant now, const NodeName& name, Outbox& out) {
  begin(now);
  SHOAL_ASSERT(self_ != kNoSlot && !leaving() && members_.find(name.view()) == kNoSlot);
  out_ = &out;
  const Profile profile = members_[self_].profile;
  if (incarnation_ == kIncarnationMax) incarnation_ = 0;  // The new name has not had any.
  forget_own_news();
  members_.erase(self_);
  options_.name = name;
  self_ = members_.insert(name.view(), rng_);
  members_[self_].profile = profile;
  announce_self();
  out_ = nullptr;
}

void Core::leave(Instant now, Outbox& out) {
  begin(now);
  if (leaving() || self_ == kNoSlot) return;
  out_ = &out;
  leave_.phase = Leave::Phase::kBroadcasting;
  leave_.give_up = now + options_.timing.broadcast_timeout;
  const NodeName name = options_.name;
  apply_dead(wire::Dead{members_[self_].incarnation, name.view(), name.view()});
  gossip();
  advance_leave();
  out_ = nullptr;
}

void Core::advance_leave() {
  switch (leave_.phase) {
    case Leave::Phase::kNo:
    case Leave::Phase::kDone: deadline(Timer::kLeave) = kNever; return;
    case Leave::Phase::kBroadcasting: {
      const bool told = !queue_.pending(leave_.token) || others_alive() == 0;
      if (!told && now_ < leave_.give_up) {
        deadline(Timer::kLeave) = earlier(leave_.give_up, now_ + options_.timing.gossip_interval / 4);
        return;
      }
      leave_.phase = Leave::Phase::kPropagating;
      deadline(Timer::kLeave) = others_alive() == 0 ? now_ + 1ms : now_ + options_.timing.leave_propagate_delay;
      return;
    }
    case Leave::Phase::kPropagating:
      leave_.phase = Leave::Phase::kDone;
      deadline(Timer::kLeave) = kNever;
      return;
  }
}

void Core::on_deadline(Instant now, Outbox& out) {
  begin(now);
  out_ = &out;
  if (deadline(Timer::kProbeTimeout) <= now) probe_indirectly();
  if (deadline(Timer::kProbeEnd) <= now) end_probe(false);
  if (deadline(Timer::kProbe) <= now) probe_tick();
  expire_errands();
  expire_suspicions();
  expire_streams();
  if (deadline(Timer::kGossip) <= now) gossip();
  if (deadline(Timer::kLeave) <= now) advance_leave();
  if (deadline(Timer::kPushPull) <= now) {
    deadline(Timer::kPushPull) = now + push_pull_scaled(options_.timing.push_pull_interval, members_.size());
    Slot partner = kNoSlot;
    std::uint64_t seen = 0;
    for (const Slot slot : members_.slots()) {
      if (slot != self_ && members_[slot].state == State::kAlive && rng_.one_in(++seen)) partner = slot;
    }
    if (partner != kNoSlot && !leaving()) {
      if (Session* s =
              connect(members_[partner].endpoint(), Session::Kind::kPushPull, now + options_.timing.tcp_timeout)) {
        s->join = false;
      }
    }
  }
  out_ = nullptr;
}

Instant Core::next_deadline() const {
  Instant next = kNever;
  for (const Instant d : deadlines_) next = earlier(next, d);
  for (const Errand& errand : errands_) next = earlier(next, errand.deadline);
  for (std::size_t i = 0; i < suspects_.size(); ++i) next = earlier(next, suspects_.deadline_at(i));
  for (const Session& session : sessions_) {
    if (session.kind != Session::Kind::kFree) next = earlier(next, session.deadline);
  }
  return next;
}

}  // namespace shoal::swim
