// TCP between simulated nodes. A stream is two ends, each with an inbox: what the other end wrote, in order, cut into
// segments. One segment of a direction is on its way at a time; a lost one is sent again after TCP's growing pause, so
// a cut link stalls its streams until it heals or a deadline of the core gives up. A process that stands still keeps
// what arrives; its kernel goes on accepting for it. Not modelled: windows (an inbox holds all that was written) and
// one direction of a link working alone (an acknowledgement has to come back).
#include <algorithm>

#include "sim/cluster.h"

namespace shoal::test {
namespace {

constexpr Duration kSynFirst = 1s;
constexpr std::uint16_t kEphemeralPort = 40'000;
constexpr std::uint64_t kMixStream = 2;

}  // namespace

void Cluster::stream_effect(std::size_t node, const swim::StreamEffect& effect) {
  if (effect.kind == swim::StreamEffect::Kind::kConnect) return connect(node, effect.stream, effect.to);
  const auto found = nodes_[node]->streams.find(effect.stream);
  if (effect.kind == swim::StreamEffect::Kind::kWrite) {
    for (Observer* observer : observers_) observer->on_stream_write(*this, node, effect.bytes);
    mix(kMixStream, effect.bytes);
    stream_bytes += effect.bytes.size();
  }
  if (found == nodes_[node]->streams.end()) return;
  const auto [stream, side] = found->second;
  const auto other = static_cast<std::uint8_t>(1 - side);
  switch (effect.kind) {
    case swim::StreamEffect::Kind::kConnect: return;
    case swim::StreamEffect::Kind::kWrite:
      for (Bytes rest = effect.bytes; !rest.empty();) {
        const Bytes piece = rest.first(std::min(rest.size(), network_.options.segment_bytes));
        rest = rest.subspan(piece.size());
        put(stream, other, {Arrival::Kind::kBytes, {piece.begin(), piece.end()}});
      }
      return;
    case swim::StreamEffect::Kind::kFinish: return put(stream, other, {Arrival::Kind::kEnd, {}});
    case swim::StreamEffect::Kind::kClose: put(stream, other, {Arrival::Kind::kEnd, {}}); return end_over(stream, side);
  }
}

void Cluster::connect(std::size_t node, swim::StreamId id, const Endpoint& to) {
  const std::uint32_t number = ++last_stream_;
  Stream& stream = streams_[number];
  stream.to = to;
  stream.ends[0].node = node;
  stream.ends[0].life = nodes_[node]->life;
  stream.ends[0].id = id;
  stream.ends[0].resend = kSynFirst;
  stream.ends[1].over = true;  // Until somebody takes it.
  nodes_[node]->streams[id] = {number, std::uint8_t{0}};
  Event syn;
  syn.kind = Kind::kSyn;
  syn.stream = number;
  on_syn(syn);
}

void Cluster::on_syn(Event& event) {
  const auto found = streams_.find(event.stream);
  if (found == streams_.end() || found->second.ends[0].over) return;
  Stream& stream = found->second;
  StreamEnd& caller = stream.ends[0];
  const auto callee = owner(stream.to);
  const bool arrived = event.side == 1;
  if (!arrived) {
    Duration delay = network_.options.latency_max;
    const bool blocked = nodes_[caller.node]->blocked;
    if (!blocked && (!callee || network_.segment(caller.node, *callee, delay))) {
      event.side = 1;
      return post(now_ + delay, std::move(event));
    }
    const Instant again = now_ + caller.resend;
    caller.resend *= 2;
    return post(again, std::move(event));
  }
  if (!callee) {  // Nobody listens there: refused.
    caller.inbox.push_back({Arrival::Kind::kEnd, {}});
    ++caller.arrived;
    return read(event.stream, 0);
  }
  Running& listener = *nodes_[*callee];
  if (listener.frozen && listener.held.size() >= kAcceptsMax) {  // The listen queue is full: the SYN is dropped.
    event.side = 0;
    const Instant again = now_ + caller.resend;
    caller.resend *= 2;
    return post(again, std::move(event));
  }
  StreamEnd& taker = stream.ends[1];
  taker.node = *callee;
  taker.life = listener.life;
  taker.over = false;
  taker.inbox.push_back({Arrival::Kind::kAccept, {}});
  taker.arrived = 1;
  caller.resend = Network::kResendFirst;
  const std::uint32_t number = event.stream;
  put(number, 0, {Arrival::Kind::kConnected, {}});
  read(number, 1);
}

void Cluster::put(std::uint32_t number, std::uint8_t side, Arrival arrival) {
  const auto found = streams_.find(number);
  if (found == streams_.end() || found->second.ends[side].over) return;
  StreamEnd& end = found->second.ends[side];
  end.inbox.push_back(std::move(arrival));
  if (end.moving) return;
  end.moving = true;
  move(number, side, Duration{});
}

void Cluster::move(std::uint32_t number, std::uint8_t side, Duration gap) {
  const auto found = streams_.find(number);
  if (found == streams_.end() || found->second.ends[side].over) return;
  StreamEnd& to = found->second.ends[side];
  const StreamEnd& from = found->second.ends[1 - side];
  if (stream_break_ppm > 0 && network_.rng().chance_ppm(stream_break_ppm)) {
    for (std::uint8_t each = 0; each < 2; ++each) {
      StreamEnd& end = found->second.ends[each];
      end.inbox.clear();
      end.inbox.push_back({Arrival::Kind::kEnd, {}});
      end.arrived = 1;
      Event ended;
      ended.kind = Kind::kEnded;
      ended.to = end.node;
      ended.life = end.life;
      ended.stream = number;
      ended.side = each;
      post(now_, std::move(ended));
    }
    return;
  }
  Event event;
  event.stream = number;
  event.side = side;
  Duration delay{};
  if (network_.segment(from.node, to.node, delay)) {
    event.kind = Kind::kSegment;
    to.resend = Network::kResendFirst;
    return post(now_ + delay + gap, std::move(event));
  }
  if (to.resend == Duration{}) to.resend = Network::kResendFirst;
  event.kind = Kind::kResend;
  const Instant again = now_ + to.resend;
  to.resend = std::min(to.resend * 2, Network::kResendMax);
  post(again, std::move(event));
}

void Cluster::on_segment(std::uint32_t number, std::uint8_t side) {
  const auto found = streams_.find(number);
  if (found == streams_.end() || found->second.ends[side].over) return;
  StreamEnd& end = found->second.ends[side];
  if (end.arrived < end.inbox.size()) ++end.arrived;
  end.moving = end.arrived < end.inbox.size();
  if (end.moving) move(number, side, network_.options.segment_gap);
  read(number, side);
}

void Cluster::read(std::uint32_t number, std::uint8_t side) {
  for (;;) {
    const auto found = streams_.find(number);
    if (found == streams_.end()) return;
    StreamEnd& end = found->second.ends[side];
    if (end.over || end.arrived == 0 || !nodes_[end.node] || nodes_[end.node]->life != end.life) return;
    const std::size_t node = end.node;
    if (nodes_[node]->frozen || nodes_[node]->blocked) {
      nodes_[node]->held.insert({number, side});
      return;
    }
    const Arrival arrival = std::move(end.inbox.front());
    end.inbox.pop_front();
    --end.arrived;
    const swim::StreamId id = end.id;
    const Instant now = local(node);
    const auto other = static_cast<std::uint8_t>(1 - side);
    switch (arrival.kind) {
      case Arrival::Kind::kAccept: {
        Endpoint from = address(lives_[found->second.ends[other].life].address);
        from.port = kEphemeralPort;
        swim::StreamId own = 0;
        if (nodes_[node]->core->on_stream_accepted(now, from, own, *outbox_)) {
          end.id = own;
          nodes_[node]->streams[own] = {number, side};
        } else {
          put(number, other, {Arrival::Kind::kEnd, {}});
          end_over(number, side);
        }
        drain(node);
        break;
      }
      case Arrival::Kind::kConnected:
        call(node, [&](serf::Node& core, serf::Outbox& out) { core.on_stream_connected(now, id, out); });
        break;
      case Arrival::Kind::kBytes:
        call(node, [&](serf::Node& core, serf::Outbox& out) { core.on_stream_bytes(now, id, arrival.bytes, out); });
        break;
      case Arrival::Kind::kEnd:
        put(number, other, {Arrival::Kind::kEnd, {}});
        end_over(number, side);
        call(node, [&](serf::Node& core, serf::Outbox& out) { core.on_stream_closed(now, id, out); });
        break;
    }
  }
}

void Cluster::end_over(std::uint32_t number, std::uint8_t side) {
  const auto found = streams_.find(number);
  if (found == streams_.end()) return;
  StreamEnd& end = found->second.ends[side];
  if (!end.over && nodes_[end.node] && nodes_[end.node]->life == end.life) {
    nodes_[end.node]->streams.erase(end.id);
    nodes_[end.node]->held.erase({number, side});
  }
  end.over = true;
  end.inbox.clear();
  end.arrived = 0;
  if (found->second.ends[1 - side].over) streams_.erase(found);
}

void Cluster::break_streams(std::size_t node) {
  // The kernel of a process that ended closes what it had open or not yet accepted.
  std::set<std::pair<std::uint32_t, std::uint8_t>> all = nodes_[node]->held;
  for (const auto& [id, stream] : nodes_[node]->streams) all.insert(stream);
  for (const auto& [number, side] : all) {
    put(number, static_cast<std::uint8_t>(1 - side), {Arrival::Kind::kEnd, {}});
    end_over(number, side);
  }
}

}  // namespace shoal::test
