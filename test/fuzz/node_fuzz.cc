// One serf node whose network, clock and shell are the input. Whatever it hears, it must not abort, must keep to its
// limits, must want to be woken later than now, and may send only what decodes again, with version lists of exactly six
// numbers (a shorter one crashes Go peers).
//
// An input is a list of actions, each a byte and what it needs: raw datagrams, whole messages made from a few fields,
// pieces of streams, steps of time, commands.
#include <map>
#include <vector>

#include "input.h"
#include "node_messages.h"
#include "serf/node.h"
#include "target.h"
#include "wire/packet.h"
#include "wire/stream.h"

namespace {

using namespace shoal;
using fuzz::Memory;

constexpr std::size_t kMembersMax = 12;
constexpr std::size_t kActionsMax = 120;

class Stage {
 public:
  explicit Stage(fuzz::Input& in) : in_(in), node_{options(in.u8()), texts_, Rng(in.u8()), now_}, out_(kMembersMax) {
    node_.start(now_, fuzz::meta(in_.u8() % 3), out_);
    drain();
  }

  void run() {
    for (std::size_t i = 0; i < kActionsMax && !in_.empty(); ++i) {
      act();
      check();
    }
    // An hour in which nothing comes: it calms down, and no stream stays open for ever.
    for (int i = 0; i < 6; ++i) {
      now_ += 10min;
      wake();
    }
    for (const auto& [id, stream] : streams_) SHOAL_ASSERT(!stream.open || stream.opened == now_);
  }

 private:
  struct Stream {
    Memory said;  // What the node has written.
    Instant opened{};
    bool outbound = false;
    bool open = true;
    bool connected = false;
    bool finishing = false;
  };

  static serf::NodeOptions options(std::uint8_t kind) {
    serf::NodeOptions out;
    out.swim.name = swim::NodeName("me");
    out.swim.advertise = fuzz::peer(1);
    out.swim.members_max = kMembersMax;
    out.swim.compress = (kind & 1) != 0;
    out.swim.inbound_streams_max = 3;
    out.swim.outbound_streams_max = 5;
    out.swim.timing = (kind & 2) != 0 ? swim::local_timing() : swim::lan_timing();
    if ((kind & 4) != 0) out.swim.allow.push_back(*Cidr::parse("10.0.0.0/29"));
    if ((kind & 8) != 0) {
      out.swim.keys.push_back(key(1));
      out.swim.keys.push_back(key(2));
    }
    if ((kind & 16) != 0) out.swim.label.assign_cut("lan");
    if ((kind & 32) != 0) out.event_clock_seen = out.query_clock_seen = out.clock_seen = 40;
    return out;
  }

  static FixedBytes<wire::kAeadKeyBytesMax> key(std::uint8_t number) {
    FixedBytes<wire::kAeadKeyBytesMax> out;
    SHOAL_ASSERT(out.assign(Memory(16, number)));
    return out;
  }
  /// The network has the node's own keys, whatever they are by now.
  [[nodiscard]] wire::Security security() { return {&node_.keyring(), node_.swim().options().label.view(), &nonces_}; }

  void act() {
    switch (in_.u8() % 16) {
      case 0: return hear(raw(in_.bytes()));
      case 1:
      case 2:
      case 3: return hear(fuzz::packet(in_, security()));
      case 4: return step(std::chrono::milliseconds(in_.u8()));
      case 5: return step(std::chrono::seconds(in_.u8()));
      case 6: return accept();
      case 7: return stream_bytes(fuzz::memory(in_.bytes()));
      case 8: return stream_message();
      case 9: return connected();
      case 10: return closed();
      case 11: return command();
      case 12: return answer();
      case 13: return respond();
      case 14: return hear(fuzz::reply(in_, last_.query, security()));
      default: return freeze(std::chrono::seconds(in_.u16()));
    }
  }

  /// As it is; under the node's encryption when it has any, and the lowest bit of its length does not forbid it.
  Memory raw(Bytes bytes) {
    if (!security().encrypts() || bytes.empty() || bytes.size() % 2 != 0) return fuzz::memory(bytes);
    Memory out(512);
    ByteWriter front(out);
    wire::put_label(front, security().label);
    out.resize(front.size());
    const std::size_t label = out.size();
    out.resize(label + bytes.size() + wire::kSealOverheadBytes);
    std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<std::ptrdiff_t>(label + wire::kSealFrontBytes));
    wire::seal(node_.keyring().primary(), nonces_, as_bytes(security().label), MutableBytes(out).subspan(label));
    return out;
  }
  void hear(const Memory& datagram) {
    node_.on_packet(now_, fuzz::peer(in_.u8()), datagram, out_);
    drain();
  }
  /// Time goes on as for a shell that is always there.
  void step(Duration d) {
    const Instant end = now_ + d;
    for (int i = 0; i < 400 && node_.next_deadline() <= end; ++i) {
      now_ = std::max(now_, node_.next_deadline());
      wake();
    }
    now_ = end;
    wake();
  }
  /// As for one that did not run for a while.
  void freeze(Duration d) {
    now_ += d;
    wake();
  }
  void wake() {
    node_.on_deadline(now_, out_);
    drain();
    SHOAL_ASSERT(node_.next_deadline() > now_);
  }

  void accept() {
    swim::StreamId id = 0;
    const bool taken = node_.on_stream_accepted(now_, fuzz::peer(in_.u8(), 40000), id, out_);
    if (taken) {
      SHOAL_ASSERT(streams_.count(id) == 0 || !streams_[id].open);
      streams_[id] = Stream{};
      streams_[id].opened = now_;
      streams_[id].connected = true;
    }
    drain();
  }
  /// One of the open streams; null when there is none.
  std::pair<const swim::StreamId, Stream>* pick() {
    std::vector<std::pair<const swim::StreamId, Stream>*> open;
    for (auto& entry : streams_) {
      if (entry.second.open) open.push_back(&entry);
    }
    return open.empty() ? nullptr : open[in_.u8() % open.size()];
  }
  void stream_bytes(const Memory& bytes) { say(pick(), bytes); }
  void stream_message() {
    auto* const stream = pick();
    if (stream == nullptr) return;
    const auto writer = stream->second.outbound ? wire::StreamSide::kAcceptor : wire::StreamSide::kInitiator;
    say(stream, fuzz::stream_message(in_, security(), writer));
  }
  /// In pieces, as TCP has them.
  void say(const std::pair<const swim::StreamId, Stream>* stream, const Memory& bytes) {
    if (stream == nullptr || !stream->second.connected) return;
    const std::size_t piece = 1 + std::size_t{in_.u8()} * 8;
    const swim::StreamId id = stream->first;
    for (std::size_t at = 0; at < bytes.size() && stream->second.open; at += piece) {
      node_.on_stream_bytes(now_, id, Bytes(bytes).subspan(at).first(std::min(piece, bytes.size() - at)), out_);
      drain();
    }
  }
  void connected() {
    auto* const stream = pick();
    if (stream == nullptr || stream->second.connected) return;
    stream->second.connected = true;
    node_.on_stream_connected(now_, stream->first, out_);
    drain();
  }
  void closed() {
    auto* const stream = pick();
    if (stream == nullptr) return;
    stream->second.open = false;
    node_.on_stream_closed(now_, stream->first, out_);
    drain();
  }

  void command() {
    const std::uint8_t kind = in_.u8() % 11;
    const Endpoint to = fuzz::peer(in_.u8());
    switch (kind) {
      case 0: node_.join(now_, to, out_); break;
      case 1: node_.push_pull(now_, to, out_); break;
      case 2: node_.set_meta(now_, fuzz::meta(in_.u8()), out_); break;
      case 3: {
        if (node_.leaving()) break;
        node_.leave(now_, out_);
        break;
      }
      case 7: (void)node_.user_event(now_, fuzz::name(in_.u8()), in_.bytes(), in_.flag(), out_); break;
      case 8: (void)node_.force_leave(now_, fuzz::name(in_.u8()), in_.flag(), out_); break;
      case 9: (void)node_.key_query(now_, serf::KeyOperation::kList, {}, out_); break;
      case 10: {
        const serf::KeyOperation operation = in_.flag() ? serf::KeyOperation::kInstall : serf::KeyOperation::kUse;
        (void)node_.key_query(now_, operation, Memory(16, in_.u8() % 8), out_);
        break;
      }
      default: {
        serf::QueryParams params;
        const Memory payload = fuzz::memory(in_.bytes());
        params.name = kind == 4 ? "solicit" : "depart";
        params.payload = payload;
        params.ack = in_.flag();
        params.relay_factor = in_.u8() % 5;
        params.timeout = std::chrono::seconds(in_.u8() % 30);
        static constexpr wire::TagFilter kTags[] = {{"role", "task|sidecar"}};
        const std::string_view node[] = {in_.flag() ? fuzz::name(in_.u8()) : std::string_view()};
        if (!node[0].empty()) params.nodes = node;
        if (in_.flag()) params.tags = kTags;
        if (kind == 4) (void)node_.query(now_, params, out_);
        if (kind == 5) (void)node_.query_direct(now_, to, serf::Route::kDatagram, params, out_);
        if (kind == 6) (void)node_.query_direct(now_, to, serf::Route::kStream, params, out_);
      }
    }
    drain();
  }
  /// To the newest thing that it asked of us, so that probes and push/pulls can succeed.
  void answer() {
    if (last_.ping == 0) return;
    wire::Ack ack{last_.ping};
    const Memory payload = fuzz::memory(in_.flag() ? in_.short_bytes() : Bytes{});
    ack.payload = payload;
    hear(fuzz::sealed({fuzz::encoded(ack)}, false, false, security()));
  }
  void respond() {
    if (asked_.empty()) return;
    const serf::QueryRef ref = asked_[in_.u8() % asked_.size()];
    (void)node_.respond(now_, ref, in_.bytes(), out_);
    drain();
  }

  void drain() {
    for (const swim::Packet& packet : out_.net.packets()) check_packet(out_.net.view(packet));
    for (const swim::StreamEffect& effect : out_.net.streams()) follow(effect);
    for (const serf::QueryEvent& query : out_.queries) {
      if (asked_.size() == 16) asked_.erase(asked_.begin());
      asked_.push_back(query.ref);
    }
    check_news();
    out_.clear();
  }

  /// A member that is told of can be looked up, unless it is told to be forgotten again.
  void check_news() {
    for (const serf::MemberEvent& event : out_.members) {
      bool forgotten = false;
      for (const serf::MemberEvent& other : out_.members) {
        forgotten = forgotten || (other.kind == serf::MemberEventKind::kReap && other.name == event.name);
      }
      SHOAL_ASSERT(forgotten || node_.members().get(event.name.view()) != nullptr);
    }
  }

  void check_packet(Bytes datagram) {
    const std::size_t most = wire::kPacketBudget + wire::kCrcHeaderBytes + wire::packet_overhead(security());
    SHOAL_ASSERT(!datagram.empty() && datagram.size() <= most);
    static wire::PacketOpener opener(128 * 1024);
    last_.messages = 0;
    SHOAL_ASSERT(opener.open(datagram, last_, security()) == wire::PacketFault::kNone);
    SHOAL_ASSERT(last_.messages > 0);
  }

  void follow(const swim::StreamEffect& effect) {
    if (effect.kind == swim::StreamEffect::Kind::kConnect) {
      SHOAL_ASSERT(streams_.count(effect.stream) == 0 || !streams_[effect.stream].open);
      streams_[effect.stream] = Stream{};
      streams_[effect.stream].opened = now_;
      streams_[effect.stream].outbound = true;
      return;
    }
    SHOAL_ASSERT(streams_.count(effect.stream) == 1);
    Stream& stream = streams_[effect.stream];
    // After kFinish only a kClose may come, for a shell whose peer takes too long.
    SHOAL_ASSERT(stream.open && (!stream.finishing || effect.kind == swim::StreamEffect::Kind::kClose));
    switch (effect.kind) {
      case swim::StreamEffect::Kind::kConnect: break;
      case swim::StreamEffect::Kind::kWrite:
        SHOAL_ASSERT(!effect.bytes.empty());
        stream.said.insert(stream.said.end(), effect.bytes.begin(), effect.bytes.end());
        fuzz::check_stream(stream.said, security(),
                           stream.outbound ? wire::StreamSide::kInitiator : wire::StreamSide::kAcceptor);
        break;
      case swim::StreamEffect::Kind::kFinish: stream.finishing = true; break;
      case swim::StreamEffect::Kind::kClose: stream.open = false; break;
    }
  }

  void check() const {
    SHOAL_ASSERT(node_.next_deadline() != kNever);
    SHOAL_ASSERT(node_.members().size() <= kMembersMax && node_.swim().members().size() <= kMembersMax);
    SHOAL_ASSERT(node_.swim().self().name == node_.name());
    SHOAL_ASSERT(node_.leaving() || node_.swim().self().state == swim::State::kAlive);
    for (const swim::Slot slot : node_.swim().members().slots()) {
      const swim::Record& record = node_.swim().members()[slot];
      // What is not gone is gossiped, and must be something that peers can live with.
      if (!record.gone()) SHOAL_ASSERT(swim::compatible(record.versions()) && record.meta().size() <= 512);
    }
  }

  fuzz::Input& in_;
  Instant now_{};
  TextStore texts_{swim::texts_max(kMembersMax)};
  serf::Node node_;
  serf::Outbox out_;
  std::map<swim::StreamId, Stream> streams_;
  std::vector<serf::QueryRef> asked_;
  fuzz::Listener last_;
  wire::NonceSource nonces_{std::array<std::uint8_t, wire::NonceSource::kSeedBytes>{7}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  Stage(in).run();
  return 0;
}
