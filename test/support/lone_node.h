// One serf::Node, "me" at 10.0.0.1:7946, alone in the hands of a test: the test is the network, the clock and the
// shell.
#pragma once

#include <algorithm>
#include <map>
#include <memory>

#include "serf/node.h"
#include "support/gossip_trace.h"

namespace shoal::test {

/// A query message by hand, for what the program itself would never send.
struct QueryText {
  std::uint64_t ltime = 1;
  std::uint32_t id = 1;
  Endpoint reply_to = peer(9);
  std::string source = "asker";
  Memory filters = {};
  std::uint32_t flags = 0;
  std::uint8_t relay_factor = 0;
  Duration timeout = 5s;
  std::string name = "solicit";
  std::string payload = {};
};
inline Memory query(const QueryText& q) {
  wire::Query message;
  message.ltime = q.ltime;
  message.id = q.id;
  message.addr = q.reply_to.addr.raw();
  message.port = q.reply_to.port;
  message.source_node = q.source;
  message.filters = q.filters;
  message.flags = q.flags;
  message.relay_factor = q.relay_factor;
  message.timeout_ns = q.timeout.count();
  message.name = q.name;
  message.payload = as_bytes(q.payload);
  return encoded(message);
}

using Tags = std::vector<std::pair<std::string, std::string>>;

class LoneNode {
 public:
  struct Sent {
    Instant at;
    Endpoint to;
    Memory bytes;
    Lines parts;
  };

  static serf::NodeOptions options() {
    serf::NodeOptions out;
    out.swim.name = swim::NodeName("me");
    out.swim.advertise = peer(1);
    out.swim.members_max = 64;
    out.swim.compress = false;
    return out;
  }

  explicit LoneNode(const Tags& tags = {}, const serf::NodeOptions& options = LoneNode::options())
      : secrets({}, options.swim.label),
        texts(swim::texts_max(options.swim.members_max)),
        node(options, texts, Rng(1), now),
        out_(options.swim.members_max) {
    for (const auto& key : options.swim.keys) SHOAL_ASSERT(secrets.ring.add(key.view()) == wire::KeyResult::kOk);
    const Memory meta = encode_tags(tags);
    command([&] { node.start(now, meta, out_); });
    quiet();
  }

  static Memory encode_tags(const Tags& tags) {
    Memory memory(512);
    ByteWriter writer(memory);
    wire::encode_tags_header(writer, static_cast<std::uint32_t>(tags.size()));
    for (const auto& [key, value] : tags) wire::encode_tag(writer, key, value);
    SHOAL_ASSERT(writer.ok());
    memory.resize(writer.size());
    return memory;
  }

  /// Any call into the node; what it gives is kept.
  template <typename F>
  void command(F&& f) {
    f();
    drain();
  }
  serf::Outbox& out() { return out_; }

  void hear(Bytes datagram, const Endpoint& from = peer(99)) {
    command([&] { node.on_packet(now, from, datagram, out_); });
  }
  void run_for(Duration d) {
    const Instant end = now + d;
    while (node.next_deadline() <= end) {
      now = std::max(now, node.next_deadline());
      command([&] { node.on_deadline(now, out_); });
      SHOAL_ASSERT(node.next_deadline() > now);
    }
    now = end;
  }
  /// A push/pull comes in; the answer's bytes.
  Memory exchange(Bytes bytes) {
    swim::StreamId id = 0;
    bool taken = false;
    command([&] { taken = node.on_stream_accepted(now, peer(99, 40000), id, out_); });
    SHOAL_ASSERT(taken);
    streams[id].clear();
    command([&] { node.on_stream_bytes(now, id, bytes, out_); });
    command([&] { node.on_stream_closed(now, id, out_); });
    return streams[id];
  }
  /// Pings us from elsewhere and gives what rides on the answer.
  Lines ask() {
    const std::size_t before = sent.size();
    hear(secrets.packet(encoded(wire::Ping{77, node.name()})), peer(98));
    SHOAL_ASSERT(sent.size() == before + 1 && sent.back().parts[0].starts_with("ack 77"));
    return {sent.back().parts.begin() + 1, sent.back().parts.end()};
  }
  /// The serf messages that wait to be told, as hex.
  Lines told() {
    Lines out;
    for (const std::string& line : only(ask(), "user ")) out.push_back(line.substr(5));
    return out;
  }
  void quiet() {
    while (!ask().empty()) {
    }
    forget();
  }
  void forget() {
    sent.clear();
    events.clear();
    queries.clear();
    responses.clear();
    joins.clear();
    user_events.clear();
    renames.clear();
    conflicts.clear();
    strangers.clear();
    blocked.clear();
    foreign.clear();
  }
  void know(std::string_view name, std::uint8_t host, std::uint32_t incarnation = 1) {
    hear(secrets.packet(alive({incarnation, std::string(name), peer(host)})));
    quiet();
  }
  [[nodiscard]] std::string status(std::string_view name) const {
    const serf::Member* member = node.members().get(name);
    return member == nullptr ? "unknown" : std::string(serf::to_text(member->status));
  }
  [[nodiscard]] std::uint64_t status_ltime(std::string_view name) const {
    return node.members().get(name)->status_ltime;
  }

  struct Query {
    serf::QueryRef ref;
    std::string name, source, payload;
  };
  struct Response {
    serf::QueryToken token;
    bool ack;
    std::string from, payload;
  };

  Instant now{};
  Secrets secrets;  // Of a peer in the same cluster: as ours at the start.
  TextStore texts;
  serf::Node node;
  std::vector<Sent> sent;
  Lines events;  // "join b", "leave b", ...
  std::vector<Query> queries;
  std::vector<Response> responses;
  Lines joins;
  Lines user_events;  // "LTIME NAME PAYLOAD [coalesce]"
  Lines renames;      // "OLD NEW"
  Lines conflicts;    // "NAME EXISTING OTHER"
  Lines blocked, strangers, foreign;
  int keyring_changes = 0;
  std::string keyring_error;  // What the shell says of a changed ring: that it could not be written.
  std::map<swim::StreamId, Memory> streams;
  std::map<swim::StreamId, Endpoint> connects;
  bool left = false;

 private:
  void drain() {
    for (const swim::Packet& packet : out_.net.packets()) {
      const Bytes bytes = out_.net.view(packet);
      sent.push_back({now, packet.to, Memory(bytes.begin(), bytes.end()), opened(bytes, secrets.security()).parts});
    }
    for (const swim::StreamEffect& effect : out_.net.streams()) {
      if (effect.kind == swim::StreamEffect::Kind::kConnect) connects[effect.stream] = effect.to;
      Memory& written = streams[effect.stream];
      written.insert(written.end(), effect.bytes.begin(), effect.bytes.end());
    }
    for (const serf::MemberEvent& e : out_.members) {
      events.push_back(std::string(serf::to_text(e.kind)) + " " + std::string(e.name.view()));
    }
    for (const serf::QueryEvent& q : out_.queries) {
      queries.push_back(
          {q.ref, std::string(q.name.view()), std::string(q.source.view()), std::string(as_text(q.payload.view()))});
    }
    for (const serf::ResponseEvent& r : out_.responses) {
      responses.push_back({r.token, r.ack, std::string(r.from.view()), std::string(as_text(r.payload.view()))});
    }
    for (const serf::JoinEvent& j : out_.joins) {
      joins.push_back(std::string(to_text(j.to).view()) + (j.ok ? " ok" : " failed"));
    }
    for (const serf::UserEventNews& e : out_.user_events) {
      user_events.push_back(std::to_string(e.ltime) + " " + std::string(e.name.view()) + " " +
                            std::string(as_text(e.payload.view())) + (e.coalesce ? " coalesce" : ""));
    }
    for (const serf::RenameEvent& r : out_.renames) {
      renames.push_back(std::string(r.old_name.view()) + " " + std::string(r.new_name.view()));
    }
    for (const serf::ConflictEvent& c : out_.conflicts) {
      conflicts.push_back(std::string(c.name.view()) + " " + std::string(to_text(c.existing).view()) + " " +
                          std::string(to_text(c.other).view()));
    }
    for (const serf::BlockedEvent& b : out_.blocked) blocked.push_back(std::string(b.name.view()));
    for (const serf::StrangerEvent& s : out_.strangers) strangers.push_back(std::string(to_text(s.source).view()));
    for (const serf::ForeignEvent& f : out_.foreign) {
      foreign.push_back(std::string(to_text(f.from).view()) + " " + std::string(swim::to_text(f.why)));
    }
    std::vector<serf::QueryRef> changes;
    for (const serf::KeyringChange& change : out_.keyring_changes) changes.push_back(change.ref);
    keyring_changes += static_cast<int>(changes.size());
    left = left || out_.left;
    out_.clear();
    for (const serf::QueryRef& ref : changes) {
      command([&] { node.answer_key_change(now, ref, keyring_error, out_); });
    }
  }

  serf::Outbox out_;
};

/// What went out as a query response, decoded.
struct Answer {
  Endpoint to;
  std::uint64_t ltime;
  std::uint32_t id, flags;
  std::string from, payload;
  std::size_t parts;
  bool crc;
};
inline std::vector<Answer> answers(const LoneNode& me) {
  std::vector<Answer> out;
  for (const LoneNode::Sent& packet : me.sent) {
    for (const std::string& part : only(packet.parts, "user 05")) {
      const Memory bytes = from_hex(part.substr(5));
      wire::QueryResponse r;
      SHOAL_ASSERT(wire::decode(Bytes(bytes).subspan(1), r));
      out.push_back({packet.to, r.ltime, r.id, r.flags, std::string(r.from), std::string(as_text(r.payload)),
                     packet.parts.size(), has_crc(packet.bytes)});
    }
  }
  return out;
}

}  // namespace shoal::test
