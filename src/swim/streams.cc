// Exchanges over TCP: push/pull both ways, the ping of last resort, user messages (gossip-protocol facts 1.1, 2.5).
// A stream carries one message each way. The acceptor of a push/pull sends its own state before it merges, so a joiner
// is not in the answer.
#include <algorithm>

#include "swim/core.h"

namespace shoal::swim {

Core::Session* Core::free_session(bool inbound, bool is_push_pull) {
  // Both kinds have their own share, so that a storm of incoming streams cannot stop our own.
  std::size_t used = 0;
  Session* found = nullptr;
  for (Session& s : sessions_) {
    if (s.kind == Session::Kind::kFree) {
      found = &s;
    } else if ((s.kind == Session::Kind::kInbound) == inbound) {
      ++used;
    }
  }
  const std::size_t share =
      inbound ? options_.inbound_streams_max : options_.outbound_streams_max - (is_push_pull ? kStreamsKept : 0);
  return used < share ? found : nullptr;
}

Core::Session* Core::session(StreamId id) {
  for (Session& s : sessions_) {
    if (s.kind != Session::Kind::kFree && s.id == id) return &s;
  }
  return nullptr;
}

void Core::free_up(Session& s) {
  s.kind = Session::Kind::kFree;
  s.deadline = kNever;
  s.in.give_back(std::exchange(s.in_size, 0));
  s.out.give_back(std::exchange(s.out_size, 0));
  s.finishing = false;
}

void Core::close(Session& s) {
  out_->stream({StreamEffect::Kind::kClose, s.id, {}, {}});
  free_up(s);
}

void Core::finish(Session& s) {
  s.finishing = true;
  out_->stream({StreamEffect::Kind::kFinish, s.id, {}, {}});
}

void Core::fail(Session& s, std::string_view why) {
  const JoinResult result{s.peer, false, why};
  const bool asked = s.kind == Session::Kind::kPushPull;
  close(s);
  if (asked) upper_.on_join_result(result);
}

Core::Session* Core::connect(const Endpoint& to, Session::Kind kind, Instant deadline) {
  Session* s = free_session(false, kind == Session::Kind::kPushPull);
  if (s == nullptr) {
    refuse(Refusal::kTooManyStreams);
    return nullptr;
  }
  s->kind = kind;
  s->id = ++last_stream_;
  s->peer = to;
  s->deadline = deadline;
  s->join = false;
  s->reader = wire::StreamReader(inflate_.bytes(), security_, wire::StreamSide::kAcceptor, s->in.size());
  out_->stream({StreamEffect::Kind::kConnect, s->id, to, {}});
  return s;
}

void Core::push_pull(Instant now, const Endpoint& to, bool join, Outbox& out) {
  begin(now);
  out_ = &out;
  if (Session* s = connect(to, Session::Kind::kPushPull, now + options_.timing.tcp_timeout)) {
    s->join = join;
  } else {
    upper_.on_join_result({to, false, "too many exchanges at once; tried again later"});
  }
  out_ = nullptr;
}

bool Core::send_user_by_stream(Instant now, const Endpoint& to, Bytes payload, Outbox& out) {
  begin(now);
  Outbox* const outer = std::exchange(out_, &out);
  Session* s = connect(to, Session::Kind::kUser, now_ + options_.timing.tcp_timeout);
  out_ = outer;
  if (s == nullptr) return false;
  ByteWriter writer(plain_.bytes());
  wire::encode(writer, wire::UserHeader{static_cast<std::uint32_t>(payload.size())});
  writer.put(payload);
  SHOAL_ASSERT(writer.ok());
  s->out_size = wire::seal_stream(writer.written(), options_.compress, s->out.bytes(), security_);
  return true;
}

void Core::start_tcp_ping(const Endpoint& to, std::string_view node) {
  Session* s = connect(to, Session::Kind::kPing, probe_.end);
  if (s == nullptr) return;
  s->seq_no = probe_.seq_no;
  ByteWriter writer(plain_.bytes());
  wire::encode(writer, wire::Ping{probe_.seq_no, node, options_.advertise.addr.raw(), options_.advertise.port,
                                  options_.name.view()});
  s->out_size = wire::seal_stream(writer.written(), options_.compress, s->out.bytes(), security_);
}

// Room for one more, if somebody holds a place and has not said all that it came for: who has is being answered.
void Core::close_silent() {
  Session* silent = nullptr;
  for (Session& s : sessions_) {
    if (s.kind != Session::Kind::kInbound || s.finishing || now_ - s.heard < kSilenceMax) continue;
    if (silent == nullptr || s.heard < silent->heard) silent = &s;
  }
  if (silent == nullptr) return;
  refuse(Refusal::kStreamTimeout);
  close(*silent);
}

bool Core::on_stream_accepted(Instant now, const Endpoint& from, StreamId& stream, Outbox& out) {
  begin(now);
  Session* s = free_session(true, false);
  if (s == nullptr) {
    out_ = &out;
    close_silent();
    out_ = nullptr;
    s = free_session(true, false);
  }
  if (s == nullptr || self_ == kNoSlot) {
    refuse(Refusal::kTooManyStreams);
    return false;
  }
  s->kind = Session::Kind::kInbound;
  s->id = stream = ++last_stream_;
  s->peer = from;
  s->deadline = now + options_.timing.tcp_timeout;
  s->heard = now;
  s->reader = wire::StreamReader(inflate_.bytes(), security_, wire::StreamSide::kInitiator, s->in.size());
  return true;
}

void Core::on_stream_connected(Instant now, StreamId stream, Outbox& out) {
  begin(now);
  Session* s = session(stream);
  if (s == nullptr) return;
  out_ = &out;
  switch (s->kind) {
    case Session::Kind::kPushPull:
      ++counters_.push_pulls_out;
      write_push_pull(*s, s->join);
      break;
    case Session::Kind::kPing:
      out.stream({StreamEffect::Kind::kWrite, s->id, {}, s->out.bytes().first(s->out_size)});
      break;
    case Session::Kind::kUser:
      out.stream({StreamEffect::Kind::kWrite, s->id, {}, s->out.bytes().first(s->out_size)});
      finish(*s);
      break;
    case Session::Kind::kInbound:
    case Session::Kind::kFree: SHOAL_UNREACHABLE();
  }
  out_ = nullptr;
}

void Core::write_sealed(Session& s, Bytes plain) {
  const bool inbound = s.kind == Session::Kind::kInbound;
  s.out_size = wire::seal_stream(plain, options_.compress, s.out.bytes(), security_,
                                 inbound ? wire::StreamSide::kAcceptor : wire::StreamSide::kInitiator);
  if (s.out_size == 0) return fail(s, "the state is too large to send");
  out_->stream({StreamEffect::Kind::kWrite, s.id, {}, s.out.bytes().first(s.out_size)});
}

void Core::write_push_pull(Session& s, bool join) {
  // The user state is made first, because its length stands in the header; `out` is free until the sealed form.
  ByteWriter state(s.out.bytes());
  upper_.write_state(state);
  if (!state.ok()) return fail(s, "the state is too large to send");
  ByteWriter nodes(plain_.bytes());
  wire::encode(nodes, wire::PushPullHeader{join, static_cast<std::uint32_t>(members_.size()),
                                           static_cast<std::uint32_t>(state.size())});
  for (const Slot slot : members_.slots()) {
    const Record& r = members_[slot];
    const Versions versions = r.versions();
    wire::encode(nodes, wire::NodeState{r.name.view(), r.profile.address(), r.profile.port(), r.meta(), r.incarnation,
                                        static_cast<std::uint8_t>(r.state), versions});
  }
  nodes.put(state.written());
  if (!nodes.ok()) return fail(s, "the state is too large to send");
  write_sealed(s, nodes.written());
  plain_.give_back(nodes.size());
}

void Core::on_stream_bytes(Instant now, StreamId stream, Bytes bytes, Outbox& out) {
  begin(now);
  Session* s = session(stream);
  if (s == nullptr || s->finishing) return;
  out_ = &out;
  s->heard = now;
  if (bytes.size() > s->in.size() - s->in_size) {
    refuse(Refusal::kBadStream);
    fail(*s, "the peer's state is larger than gossip.members_max allows");
  } else {
    std::copy(bytes.begin(), bytes.end(), s->in.bytes().begin() + static_cast<std::ptrdiff_t>(s->in_size));
    s->in_size += bytes.size();
    switch (const auto status = s->reader.advance_in_place(s->in.bytes().first(s->in_size))) {
      case wire::StreamStatus::kIncomplete: break;
      case wire::StreamStatus::kComplete: {
        const std::size_t unpacked = s->reader.unpacked();
        on_stream_message(*s);
        inflate_.give_back(unpacked);
        break;
      }
      case wire::StreamStatus::kMalformed:
      case wire::StreamStatus::kTooLarge:
      case wire::StreamStatus::kBadLabel:
      case wire::StreamStatus::kEncrypted:
      case wire::StreamStatus::kNotEncrypted:
      case wire::StreamStatus::kBadKey:
      case wire::StreamStatus::kBadCompress: on_bad_stream(*s, status); break;
    }
  }
  out_ = nullptr;
}

void Core::on_bad_stream(Session& s, wire::StreamStatus status) {
  const Endpoint peer = s.peer;
  Refusal why = Refusal::kBadStream;
  std::string_view text = "the answer cannot be read";
  switch (status) {
    case wire::StreamStatus::kIncomplete:
    case wire::StreamStatus::kComplete: SHOAL_UNREACHABLE();
    case wire::StreamStatus::kMalformed:
    case wire::StreamStatus::kBadCompress: break;
    case wire::StreamStatus::kTooLarge: text = "the peer's state is larger than gossip.members_max allows"; break;
    case wire::StreamStatus::kBadLabel:
      why = Refusal::kBadLabel;
      text = "the peer's gossip has another label";
      break;
    case wire::StreamStatus::kEncrypted:
      why = Refusal::kEncrypted;
      text = "the peer encrypts its gossip; this node has no key";
      break;
    case wire::StreamStatus::kNotEncrypted:
      why = Refusal::kNotEncrypted;
      text = "the peer does not encrypt its gossip; this node does";
      break;
    case wire::StreamStatus::kBadKey:
      why = Refusal::kBadKey;
      text = "none of this node's gossip keys opens what the peer sends";
      break;
  }
  if (s.kind == Session::Kind::kInbound && wire::owes_err(status)) {
    answer_error(s, to_text(status));
  } else {
    fail(s, text);
  }
  refuse(why);
  if (is_foreign(why)) upper_.on_foreign(peer, why);
}

void Core::answer_error(Session& s, std::string_view text) {
  std::array<std::uint8_t, 256> memory;
  ByteWriter writer(memory);
  wire::encode(writer, wire::Err{text});
  const StreamId id = s.id;
  write_sealed(s, writer.written());
  Session* still = session(id);
  if (still == nullptr) return;
  finish(*still);
  // It is short, and whoever needs no key to be told so must not hold a place for it.
  still->deadline = earlier(still->deadline, now_ + kSilenceMax);
}

void Core::on_stream_message(Session& s) {
  const wire::StreamReader& reader = s.reader;
  const bool inbound = s.kind == Session::Kind::kInbound;
  if (inbound && reader.type() == wire::MessageType::kPushPull) {
    ++counters_.push_pulls_in;
    s.deadline = now_ + options_.timing.tcp_timeout;
    const StreamId id = s.id;
    // Our state goes out as it is before the merge. The reader's views stay whole: sealing uses other memory.
    write_push_pull(s, false);
    merge(reader, false);
    if (Session* still = session(id)) finish(*still);
  } else if (inbound && reader.type() == wire::MessageType::kPing) {
    wire::Ping ping;
    if (!wire::decode(reader.body(), ping)) {
      refuse(Refusal::kBadStream);
      return close(s);
    }
    if (!ping.node.empty() && ping.node != options_.name.view()) {
      refuse(Refusal::kWrongNode);
      return close(s);
    }
    std::array<std::uint8_t, 64> memory;
    ByteWriter writer(memory);
    wire::encode(writer, wire::Ack{ping.seq_no, {}});
    write_sealed(s, writer.written());
    finish(s);
  } else if (inbound && reader.type() == wire::MessageType::kUser) {
    upper_.on_user_message(reader.body(), UserSource{.via_stream = true});
    close(s);
  } else if (s.kind == Session::Kind::kPushPull && reader.type() == wire::MessageType::kPushPull) {
    const JoinResult result{s.peer, true, {}};
    merge(reader, s.join);
    close(s);
    upper_.on_join_result(result);
  } else if (s.kind == Session::Kind::kPushPull && reader.type() == wire::MessageType::kErr) {
    wire::Err err;
    const bool ok = wire::decode(reader.body(), err);
    fail(s, ok ? err.error : "the answer cannot be read");
  } else if (s.kind == Session::Kind::kPing && reader.type() == wire::MessageType::kAck) {
    wire::Ack ack;
    const bool ok = wire::decode(reader.body(), ack) && ack.seq_no == s.seq_no;
    close(s);
    if (ok && probe_.phase != Probe::Phase::kIdle && probe_.seq_no == ack.seq_no) probe_.tcp_acked = true;
  } else {
    refuse(Refusal::kBadStream);
    fail(s, "the answer is of another kind than asked for");
  }
}

void Core::merge(const wire::StreamReader& reader, bool joining) {
  in_join_answer_ = joining;
  reader.for_each_node([this](const wire::NodeState& node) { merge_node(node); });
  in_join_answer_ = false;
  if (!reader.user_state().empty()) upper_.merge_state(reader.user_state(), joining);
}

void Core::merge_node(const wire::NodeState& node) {
  // memberlist refuses a whole merge for one entry with bad versions; we skip the entry: one poisoned record must not
  // keep two clusters apart.
  Versions versions{};
  if (node.vsn.size() < versions.size()) return refuse(Refusal::kBadVersions);
  std::copy_n(node.vsn.begin(), versions.size(), versions.begin());
  if (!compatible(versions)) return refuse(Refusal::kBadVersions);
  switch (node.state) {
    case static_cast<std::uint8_t>(State::kAlive):
      return apply_alive(AliveNews{.message = {node.incarnation, node.name, node.addr, node.port, node.meta, node.vsn},
                                   .from_datagram = false,
                                   .local = false});
    case static_cast<std::uint8_t>(State::kLeft): return apply_dead(wire::Dead{node.incarnation, node.name, node.name});
    case static_cast<std::uint8_t>(State::kDead):  // Hearsay: it gets the chance to refute.
    case static_cast<std::uint8_t>(State::kSuspect):
      return apply_suspect(wire::Suspect{node.incarnation, node.name, options_.name.view()});
    default: return refuse(Refusal::kMalformed);
  }
}

void Core::on_stream_closed(Instant now, StreamId stream, Outbox& out) {
  begin(now);
  Session* s = session(stream);
  if (s == nullptr) return;
  out_ = &out;
  const bool asked = s->kind == Session::Kind::kPushPull;
  const bool answered_nothing = s->in_size == 0;
  const JoinResult result{s->peer, false,
                          answered_nothing ? "no answer: connection refused or closed" : "the answer was cut short"};
  free_up(*s);
  if (asked) upper_.on_join_result(result);
  out_ = nullptr;
}

void Core::expire_streams() {
  for (Session& s : sessions_) {
    if (s.kind == Session::Kind::kFree || s.deadline > now_) continue;
    if (s.kind != Session::Kind::kPing) refuse(Refusal::kStreamTimeout);
    fail(s, "timed out");
  }
}

}  // namespace shoal::swim
