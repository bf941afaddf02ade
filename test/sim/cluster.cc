#include "sim/cluster.h"

#include <cstdio>
#include <cstdlib>

#include "base/hash.h"
#include "support/allocation_counter.h"

namespace shoal::test {
namespace {

constexpr std::size_t kBacklogMax = 256;
constexpr std::size_t kMembersMax = 256;

}  // namespace

std::vector<std::uint8_t> encode_meta(const std::vector<std::pair<std::string, std::string>>& tags) {
  std::vector<std::uint8_t> memory(swim::kMetaBytesMax);
  ByteWriter writer(memory);
  wire::encode_tags_header(writer, static_cast<std::uint32_t>(tags.size()));
  for (const auto& [key, value] : tags) wire::encode_tag(writer, key, value);
  SHOAL_ASSERT(writer.ok());
  memory.resize(writer.size());
  return memory;
}

Cluster::Cluster(std::uint64_t seed, std::size_t nodes, const swim::Timing& timing, const NetworkOptions& network)
    : seed_(seed),
      rng_(seed),
      timing_(timing),
      network_(network),
      nodes_(nodes),
      lives_(nodes),
      outbox_(std::make_unique<serf::Outbox>(kMembersMax)) {}

Endpoint Cluster::endpoint(std::size_t node) const {
  return {IpAddress::v4(10, 0, static_cast<std::uint8_t>(node >> 8), static_cast<std::uint8_t>(node)), 7946};
}

std::optional<std::size_t> Cluster::at(const Endpoint& endpoint) const {
  const IpAddress address = endpoint.addr.unmapped();
  const Bytes raw = address.raw();
  if (raw.size() != 4 || raw[0] != 10) return std::nullopt;
  const std::size_t node = std::size_t{raw[2]} << 8 | raw[3];
  return node < nodes_.size() ? std::optional(node) : std::nullopt;
}

void Cluster::mix(Bytes bytes) {
  digest_ = hash64(bytes, digest_ + static_cast<std::uint64_t>(now_.time_since_epoch().count()));
}

template <typename F>
void Cluster::call(std::size_t node, F&& f) {
  const std::uint64_t before = count_allocations ? allocations() : 0;
  {
    const Counting counting;
    f(*nodes_[node]->core, *outbox_);
  }
  if (count_allocations) core_allocations += allocations() - before;
  drain(node);
}

void Cluster::start(std::size_t node, std::size_t seed_node,
                    const std::vector<std::pair<std::string, std::string>>& tags) {
  SHOAL_ASSERT(!nodes_[node]);
  serf::NodeOptions options;
  options.swim.name = swim::NodeName(name(node));
  options.swim.advertise = endpoint(node);
  options.swim.timing = timing_;
  options.swim.members_max = kMembersMax;
  nodes_[node] = std::make_unique<Running>();
  nodes_[node]->seed_node = seed_node;
  ++lives_[node];
  nodes_[node]->core = std::make_unique<serf::Node>(options, rng_.fork(), now_);
  const auto meta = encode_meta(tags);
  command(node, [&](serf::Node& core, Instant now, serf::Outbox& out) { core.start(now, meta, out); });
  if (seed_node != node) {
    command(node, [&](serf::Node& core, Instant now, serf::Outbox& out) { core.join(now, endpoint(seed_node), out); });
  }
}

void Cluster::crash(std::size_t node) {
  deadlines_.erase({nodes_[node]->scheduled, node});
  // The kernel of a crashed process closes its streams.
  for (const auto& [own, peer] : nodes_[node]->streams) {
    post({now_, 0, Kind::kClosed, peer.first, node, peer.second, {}, lives_[peer.first]}, false);
  }
  nodes_[node].reset();
}

void Cluster::freeze(std::size_t node) {
  nodes_[node]->frozen = true;
  deadlines_.erase({nodes_[node]->scheduled, node});
}

void Cluster::thaw(std::size_t node) {
  nodes_[node]->frozen = false;
  nodes_[node]->scheduled = kNever;
  auto backlog = std::move(nodes_[node]->backlog);
  nodes_[node]->backlog.clear();
  for (const auto& bytes : backlog) {
    call(node, [&](serf::Node& core, serf::Outbox& out) { core.on_packet(now_, endpoint(node), bytes, out); });
  }
  reschedule(node);
}

void Cluster::leave(std::size_t node) {
  command(node, [](serf::Node& core, Instant now, serf::Outbox& out) { core.leave(now, out); });
}

void Cluster::set_tags(std::size_t node, const std::vector<std::pair<std::string, std::string>>& tags) {
  const auto meta = encode_meta(tags);
  command(node, [&](serf::Node& core, Instant now, serf::Outbox& out) { core.set_meta(now, meta, out); });
}

void Cluster::cut(std::size_t a, std::size_t b, bool both_ways) {
  cuts_.insert({a, b});
  if (both_ways) cuts_.insert({b, a});
}

void Cluster::heal() {
  cuts_.clear();
  datagrams_cut_.clear();
}

void Cluster::cut_datagrams_only(std::size_t node) { datagrams_cut_.insert(node); }

void Cluster::post(Event event, bool datagram) {
  const Duration spread = network_.latency_max - network_.latency_min;
  event.at = now_ + network_.latency_min + (datagram ? rng_.below(spread) : spread);
  event.order = ++order_;
  in_flight_.push(std::move(event));
}

void Cluster::reschedule(std::size_t node) {
  Running& running = *nodes_[node];
  if (running.frozen) return;
  const Instant next = running.core->next_deadline();
  if (next == running.scheduled) return;
  deadlines_.erase({running.scheduled, node});
  running.scheduled = next;
  if (next != kNever) deadlines_.insert({next, node});
}

void Cluster::drain(std::size_t node) {
  Running& running = *nodes_[node];
  serf::Outbox& out = *outbox_;
  for (const swim::Packet& packet : out.net.packets()) {
    const Bytes bytes = out.net.view(packet);
    mix(bytes);
    ++packets;
    packet_bytes_most = std::max(packet_bytes_most, bytes.size());
    const auto to = at(packet.to);
    if (!to || is_cut(node, *to) || datagrams_cut_.count(node) > 0 || datagrams_cut_.count(*to) > 0) continue;
    if (rng_.chance_ppm(network_.loss_ppm)) continue;
    Event event{now_, 0, Kind::kPacket, *to, node, 0, {bytes.begin(), bytes.end()}, lives_[*to]};
    if (rng_.chance_ppm(network_.duplicate_ppm)) post(event, true);
    post(std::move(event), true);
  }
  for (const swim::StreamEffect& effect : out.net.streams()) {
    const auto peer = running.streams.find(effect.stream);
    switch (effect.kind) {
      case swim::StreamEffect::Kind::kConnect: {
        const auto to = at(effect.to);
        if (to && !is_cut(node, *to)) post({now_, 0, Kind::kConnect, *to, node, effect.stream, {}, lives_[*to]}, false);
        break;
      }
      case swim::StreamEffect::Kind::kWrite:
        mix(effect.bytes);
        if (peer != running.streams.end() && !is_cut(node, peer->second.first)) {
          post({now_,
                0,
                Kind::kBytes,
                peer->second.first,
                node,
                peer->second.second,
                {effect.bytes.begin(), effect.bytes.end()},
                lives_[peer->second.first]},
               false);
        }
        break;
      case swim::StreamEffect::Kind::kFinish:
      case swim::StreamEffect::Kind::kClose:
        if (peer != running.streams.end()) {
          post({now_, 0, Kind::kClosed, peer->second.first, node, peer->second.second, {}, lives_[peer->second.first]},
               false);
          running.streams.erase(peer);
        }
        if (effect.kind == swim::StreamEffect::Kind::kFinish) {
          post({now_, 0, Kind::kClosed, node, node, effect.stream, {}, lives_[node]}, false);
        }
        break;
    }
  }
  for (const serf::MemberEvent& e : out.members) events.push_back({now_, node, e.kind, std::string(e.name.view())});
  for (const serf::QueryEvent& q : out.queries) {
    queries.push_back({node, q.ref, std::string(q.name.view()), std::string(q.source.view()),
                       std::string(as_text(q.payload.view()))});
  }
  for (const serf::ResponseEvent& r : out.responses) {
    responses.push_back({node, r.token, r.ack, std::string(r.from.view()), std::string(as_text(r.payload.view()))});
  }
  for (const serf::JoinEvent& j : out.joins) {
    joins.emplace_back(node, j.ok);
    const bool seed_join = running.seed_node != node && same_place(j.to, endpoint(running.seed_node));
    if (j.ok || !seed_join) continue;
    in_flight_.push({now_ + rng_.jittered(250ms), ++order_, Kind::kRejoin, node, node, 0, {}, lives_[node]});
  }
  for (const serf::StrangerEvent& stranger : out.strangers) {
    const auto peer = at(stranger.source);
    if (!peer || now_ < running.stranger_after) continue;
    running.stranger_after = now_ + 1s;
    in_flight_.push({now_, ++order_, Kind::kPushPull, node, *peer, 0, {}, lives_[node]});
  }
  if (out.left) left.insert(node);
  out.clear();
  reschedule(node);
}

void Cluster::deliver(Event& event) {
  if (!nodes_[event.to] || lives_[event.to] != event.incarnation_to) {
    if (event.kind == Kind::kConnect && nodes_[event.from]) {
      post({now_, 0, Kind::kClosed, event.from, event.to, event.stream, {}, lives_[event.from]}, false);
    }
    return;
  }
  Running& to = *nodes_[event.to];
  if (to.frozen) {
    if (event.kind == Kind::kPacket && to.backlog.size() < kBacklogMax) to.backlog.push_back(std::move(event.bytes));
    return;
  }
  const std::size_t node = event.to;
  switch (event.kind) {
    case Kind::kPacket:
      return call(node, [&](serf::Node& core, serf::Outbox& out) {
        core.on_packet(now_, endpoint(event.from), event.bytes, out);
      });
    case Kind::kConnect: {
      swim::StreamId own = 0;
      const bool taken = to.core->on_stream_accepted(now_, endpoint(event.from), own, *outbox_);
      drain(node);
      if (!nodes_[event.from]) return;
      if (!taken) return post({now_, 0, Kind::kClosed, event.from, node, event.stream, {}, lives_[event.from]}, false);
      to.streams[own] = {event.from, event.stream};
      nodes_[event.from]->streams[event.stream] = {node, own};
      return post({now_, 0, Kind::kConnected, event.from, node, event.stream, {}, lives_[event.from]}, false);
    }
    case Kind::kConnected:
      return call(node,
                  [&](serf::Node& core, serf::Outbox& out) { core.on_stream_connected(now_, event.stream, out); });
    case Kind::kBytes:
      return call(node, [&](serf::Node& core, serf::Outbox& out) {
        core.on_stream_bytes(now_, event.stream, event.bytes, out);
      });
    case Kind::kRejoin:
      return call(node, [&](serf::Node& core, serf::Outbox& out) { core.join(now_, endpoint(to.seed_node), out); });
    case Kind::kPushPull:
      return call(node, [&](serf::Node& core, serf::Outbox& out) { core.push_pull(now_, endpoint(event.from), out); });
    case Kind::kClosed:
      to.streams.erase(event.stream);
      return call(node, [&](serf::Node& core, serf::Outbox& out) { core.on_stream_closed(now_, event.stream, out); });
  }
}

bool Cluster::step(Instant end) {
  const Instant arrival = in_flight_.empty() ? kNever : in_flight_.top().at;
  const Instant due = deadlines_.empty() ? kNever : deadlines_.begin()->first;
  const Instant next = earlier(arrival, due);
  if (next > end) {
    now_ = end;
    return false;
  }
  now_ = std::max(now_, next);
  if (arrival <= due) {
    Event event = in_flight_.top();
    in_flight_.pop();
    deliver(event);
  } else {
    const std::size_t node = deadlines_.begin()->second;
    call(node, [&](serf::Node& core, serf::Outbox& out) { core.on_deadline(now_, out); });
    if (nodes_[node]->core->next_deadline() <= now_) {
      std::fprintf(stderr, "seed %llu: %s is due again at once\n", static_cast<unsigned long long>(seed_),
                   name(node).c_str());
      std::abort();
    }
  }
  if (packet_bytes_most > wire::kPacketBudget + wire::kCrcHeaderBytes) {
    std::fprintf(stderr, "seed %llu: a packet of %zu bytes\n", static_cast<unsigned long long>(seed_),
                 packet_bytes_most);
    std::abort();
  }
  return true;
}

void Cluster::run_for(Duration d) {
  const Instant end = now_ + d;
  while (step(end)) {
  }
}

serf::Status Cluster::status(std::size_t viewer, std::size_t of) const {
  const serf::Member* member = nodes_[viewer]->core->members().get(name(of));
  return member == nullptr ? serf::Status::kNone : member->status;
}

std::string Cluster::tag(std::size_t viewer, std::size_t of, std::string_view key) const {
  const serf::Member* member = nodes_[viewer]->core->members().get(name(of));
  return member == nullptr ? std::string() : std::string(wire::tag_value(member->meta.view(), key));
}

bool Cluster::all_see(std::size_t of, serf::Status expected) const {
  for (std::size_t viewer = 0; viewer < nodes_.size(); ++viewer) {
    if (!running(viewer) || (viewer == of && expected != serf::Status::kAlive)) continue;
    if (status(viewer, of) != expected) return false;
  }
  return true;
}

}  // namespace shoal::test
