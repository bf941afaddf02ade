// One swim::Core, "me" at 10.0.0.1:7946, alone in the hands of a test: the test is the network, the clock and the layer
// above. What the core says is kept as lines of text (see gossip_trace.h).
#pragma once

#include <algorithm>
#include <map>

#include "support/gossip_trace.h"
#include "swim/core.h"

namespace shoal::test {

struct SentPacket {
  Instant at;
  Endpoint to;
  Memory bytes;
  Lines parts;
};

/// Streams as the core wants them.
struct StreamTrace {
  Endpoint to;
  Memory written;
  Lines said;  // "connect", "write", "finish", "close" in the order they came.
};

class LoneCore final : public swim::Upper {
 public:
  static swim::Options options() {
    swim::Options out;
    out.name = swim::NodeName("me");
    out.advertise = peer(1);
    out.members_max = 64;
    out.compress = false;
    return out;
  }

  explicit LoneCore(const swim::Options& options = LoneCore::options(), std::uint64_t seed = 1)
      : secrets({}, options.label),
        texts(swim::texts_max(options.members_max)),
        core(options, texts, *this, Rng(seed), now) {
    for (const auto& key : options.keys) SHOAL_ASSERT(secrets.ring.add(key.view()) == wire::KeyResult::kOk);
    core.start(now, {}, out_);
    drain();
  }

  /// A datagram comes in.
  void hear(Bytes datagram, const Endpoint& from = peer(99)) {
    core.on_packet(now, from, datagram, out_);
    drain();
  }
  /// All that is due until then happens.
  void run_for(Duration d) {
    const Instant end = now + d;
    while (core.next_deadline() <= end) {
      now = std::max(now, core.next_deadline());
      core.on_deadline(now, out_);
      drain();
      SHOAL_ASSERT(core.next_deadline() > now);
    }
    now = end;
  }
  /// Until a packet with a part that begins so is sent; its lines. Aborts after `limit`.
  SentPacket run_until_sent(std::string_view beginning, Duration limit = 60s) {
    const Instant end = now + limit;
    for (;;) {
      for (std::size_t i = looked_at_; i < sent.size(); ++i) {
        if (only(sent[i].parts, beginning).empty()) continue;
        looked_at_ = i + 1;
        return sent[i];
      }
      looked_at_ = sent.size();
      SHOAL_ASSERT(core.next_deadline() <= end);
      run_for(std::max(Duration{}, core.next_deadline() - now));
    }
  }
  /// Pings us from 10.0.0.99 and gives what rides on the answer: what waits to be told to others.
  Lines ask() {
    const std::size_t before = sent.size();
    hear(secrets.packet(encoded(wire::Ping{77, core.options().name})), peer(99));
    SHOAL_ASSERT(sent.size() == before + 1 && sent.back().parts[0].starts_with("ack 77"));
    return {sent.back().parts.begin() + 1, sent.back().parts.end()};
  }
  /// Until nothing rides on the answers any more.
  void quiet() {
    while (!ask().empty()) {
    }
    sent.clear();
    looked_at_ = 0;
    news.clear();
  }
  /// Makes somebody a member that is alive with this incarnation, and lets all talk of it end.
  void know(std::string_view name, std::uint8_t host, std::uint32_t incarnation = 1) {
    hear(secrets.packet(alive({incarnation, std::string(name), peer(host)})));
    quiet();
  }
  [[nodiscard]] std::string state(std::string_view name) const {
    const Slot slot = core.members().find(name);
    return slot == kNoSlot ? "unknown" : std::string(swim::to_text(core.members()[slot].state));
  }
  [[nodiscard]] std::uint32_t incarnation(std::string_view name) const {
    return core.members()[core.members().find(name)].incarnation;
  }
  [[nodiscard]] std::uint64_t refused(swim::Refusal refusal) const {
    return core.counters().refused[static_cast<std::size_t>(refusal)];
  }

  // Streams.
  /// Somebody connects; 0 when there is no room.
  swim::StreamId accept(const Endpoint& from = peer(99, 40000)) {
    swim::StreamId id = 0;
    const bool taken = core.on_stream_accepted(now, from, id, out_);
    drain();
    return taken ? id : 0;
  }
  void connected(swim::StreamId id) {
    core.on_stream_connected(now, id, out_);
    drain();
  }
  void stream_in(swim::StreamId id, Bytes bytes) {
    core.on_stream_bytes(now, id, bytes, out_);
    drain();
  }
  void stream_closed(swim::StreamId id) {
    core.on_stream_closed(now, id, out_);
    drain();
  }
  /// A whole exchange with an acceptor: its answer as lines.
  Lines exchange(Bytes bytes) {
    const swim::StreamId id = accept();
    SHOAL_ASSERT(id != 0);
    stream_in(id, bytes);
    const Lines answer = streams[id].written.empty() ? Lines{} : stream_lines(streams[id].written, secrets.security());
    stream_closed(id);
    return answer;
  }
  template <typename F>
  void command(F&& f) {
    f(out_);
    drain();
  }

  // What the core tells the layer above.
  void on_member_join(const swim::Record& r) override { tell("join", r.name.view()); }
  void on_member_leave(const swim::Record& r) override { tell("leave", r.name.view(), swim::to_text(r.state)); }
  void on_member_update(const swim::Record& r) override { tell("update", r.name.view()); }
  void on_user_message(Bytes payload, const swim::UserSource& source) override {
    tell(source.via_stream ? "user-by-stream" : "user", to_hex(payload));
  }
  void on_name_conflict(const swim::Record& r, const Endpoint& other, bool) override {
    tell("conflict", r.name.view(), to_text(other).view());
  }
  void on_join_result(const swim::JoinResult& result) override {
    tell(result.ok ? "joined" : "not-joined", to_text(result.to).view(), result.error);
  }
  void write_ping_payload(ByteWriter& out) override { out.put(ping_payload); }
  void on_ping_payload(const swim::Record& r, Duration rtt, Bytes payload) override {
    tell("round-trip", r.name.view(), std::to_string(to_ms(rtt)) + "ms " + to_hex(payload));
  }
  void on_datagrams_blocked(const swim::Record& r) override { tell("blocked", r.name.view()); }
  void on_foreign(const Endpoint& from, swim::Refusal why) override {
    tell("foreign", to_text(from).view(), swim::to_text(why));
  }
  void on_incarnations_spent() override { tell("spent", {}); }
  void on_stranger_ping(const Endpoint& source) override { tell("stranger", to_text(source).view()); }
  void add_broadcasts(wire::PacketSealer& sealer, std::size_t budget, std::size_t overhead) override {
    budgets.emplace_back(budget, overhead);
    if (!ride_along.empty() && ride_along.size() + overhead <= budget + 1) SHOAL_ASSERT(sealer.add(ride_along));
  }
  void write_state(ByteWriter& out) override { out.put(own_state); }
  void merge_state(Bytes state, bool join) override { tell(join ? "state-join" : "state", to_hex(state)); }

  Instant now{};
  Secrets secrets;  // Of a peer in the same cluster: as ours at the start.
  std::vector<SentPacket> sent;
  std::map<swim::StreamId, StreamTrace> streams;
  Lines news;
  std::vector<std::pair<std::size_t, std::size_t>> budgets;
  Memory ride_along;  // The upper layer's message for every packet, type byte included.
  Memory own_state;
  Memory ping_payload;

 private:
  void tell(std::string_view what, std::string_view a, std::string_view b = {}) {
    std::string line(what);
    line += " " + std::string(a);
    if (!b.empty()) line += " " + std::string(b);
    news.push_back(line);
  }
  void drain() {
    for (const swim::Packet& packet : out_.packets()) {
      const Bytes bytes = out_.view(packet);
      sent.push_back({now, packet.to, Memory(bytes.begin(), bytes.end()), opened(bytes, secrets.security()).parts});
    }
    for (const swim::StreamEffect& effect : out_.streams()) {
      StreamTrace& trace = streams[effect.stream];
      switch (effect.kind) {
        case swim::StreamEffect::Kind::kConnect:
          trace.to = effect.to;
          trace.said.push_back("connect");
          break;
        case swim::StreamEffect::Kind::kWrite:
          trace.written.insert(trace.written.end(), effect.bytes.begin(), effect.bytes.end());
          trace.said.push_back("write");
          break;
        case swim::StreamEffect::Kind::kFinish: trace.said.push_back("finish"); break;
        case swim::StreamEffect::Kind::kClose: trace.said.push_back("close"); break;
      }
    }
    out_.clear();
  }

  swim::Outbox out_;
  std::size_t looked_at_ = 0;

 public:
  TextStore texts;
  swim::Core core;  // Last: it calls the others.
};

}  // namespace shoal::test
