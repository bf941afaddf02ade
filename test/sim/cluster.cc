#include "sim/cluster.h"

#include <algorithm>

#include "base/hash.h"

namespace shoal::test {
namespace {

constexpr std::uint32_t kFirstAddress = 10U << 24;
constexpr std::uint16_t kPort = 7946;
constexpr std::int64_t kMillion = 1'000'000;
constexpr Duration kCalm = 30s;
constexpr std::size_t kTextsMax =
    1'000'000;  // Of all nodes together: names and profiles of all lives that anybody remembers.
constexpr Duration kStrangerPause = 1s;  // As the program: one push/pull with a stranger a second.

/// What a clock that runs so many millionths fast shows after `t` nanoseconds. Never goes back.
std::int64_t drifted(std::int64_t t, std::int64_t ppm) {
  return t + t / kMillion * ppm + t % kMillion * ppm / kMillion;
}

// What the digest tells apart.
enum : std::uint64_t {
  kMixDatagram = 1,
  kMixMember = 3,
  kMixQuery,
  kMixResponse,
  kMixJoin,
  kMixLeft,
  kMixUserEvent,
  kMixRename
};

ClusterOptions plain_options(std::uint64_t seed, std::size_t nodes, const swim::Timing& timing,
                             const NetworkOptions& network) {
  ClusterOptions options;
  options.seed = seed;
  options.nodes = nodes;
  options.timing = timing;
  options.network = network;
  return options;
}

}  // namespace

std::vector<std::uint8_t> encode_meta(const Tags& tags) {
  std::vector<std::uint8_t> memory(swim::kMetaBytesMax);
  ByteWriter writer(memory);
  wire::encode_tags_header(writer, static_cast<std::uint32_t>(tags.size()));
  for (const auto& [key, value] : tags) wire::encode_tag(writer, key, value);
  SHOAL_ASSERT(writer.ok());
  memory.resize(writer.size());
  return memory;
}

Cluster::Cluster(const ClusterOptions& options)
    : options_(options),
      rng_(options.seed),
      network_(options.nodes, rng_.fork()),
      texts_(kTextsMax),
      nodes_(options.nodes),
      troubles_(options.nodes),
      outbox_(std::make_unique<serf::Outbox>(options.members_max)) {
  network_.options = options.network;
}

Cluster::Cluster(std::uint64_t seed, std::size_t nodes, const swim::Timing& timing, const NetworkOptions& network)
    : Cluster(plain_options(seed, nodes, timing, network)) {}

Cluster::~Cluster() = default;

Endpoint Cluster::address(std::uint32_t number) {
  const std::uint32_t ip = kFirstAddress + number;
  return {IpAddress::v4(static_cast<std::uint8_t>(ip >> 24), static_cast<std::uint8_t>(ip >> 16),
                        static_cast<std::uint8_t>(ip >> 8), static_cast<std::uint8_t>(ip)),
          kPort};
}

std::optional<std::size_t> Cluster::owner(const Endpoint& endpoint) const {
  const IpAddress ip = endpoint.addr.unmapped();
  const Bytes raw = ip.raw();
  if (raw.size() != 4 || endpoint.port != kPort) return std::nullopt;
  const std::uint32_t number =
      (std::uint32_t{raw[0]} << 24 | std::uint32_t{raw[1]} << 16 | std::uint32_t{raw[2]} << 8 | raw[3]) - kFirstAddress;
  const auto found = address_owner_.find(number);
  return found == address_owner_.end() ? std::nullopt : std::optional(found->second);
}

void Cluster::mix(std::uint64_t what, Bytes bytes) {
  digest_ = hash64(bytes, mix64(digest_ + what) + static_cast<std::uint64_t>(now_.time_since_epoch().count()));
}

void Cluster::fail(std::string what) {
  if (failed()) return;
  failure_ = "at " + std::to_string(to_ms(now_ - Instant{})) + " ms: " + std::move(what);
}

// ---- Clocks

Instant Cluster::local(std::size_t node) const {
  const Running& running = *nodes_[node];
  return Instant{} + running.clock_offset + Duration(drifted((now_ - Instant{}).count(), running.clock_ppm));
}

Instant Cluster::global(std::size_t node, Instant local_time) const {
  // The first moment at which the node's clock shows at least `local_time`.
  const Running& running = *nodes_[node];
  if (local_time == kNever) return kNever;
  if (running.clock_ppm == 0) return std::max(now_, local_time - running.clock_offset);
  const std::int64_t target = (local_time - running.clock_offset - Instant{}).count();
  std::int64_t t = target / (kMillion + running.clock_ppm) * kMillion;
  while (drifted(t, running.clock_ppm) < target) {
    t += std::max<std::int64_t>(1, (target - drifted(t, running.clock_ppm)) * 9 / 10);
  }
  return std::max(now_, Instant{} + Duration(t));
}

void Cluster::skip_clock(std::size_t node, Duration by) {
  unschedule(node);
  nodes_[node]->clock_offset += by;
  trouble(node);
  reschedule(node);
}

// ---- Lives

void Cluster::start(std::size_t node, std::size_t seed_node, const Tags& tags) {
  LifeOptions life;
  life.name = name(node);
  life.address = static_cast<std::uint32_t>(node);
  if (seed_node != node) life.seeds = {static_cast<std::uint32_t>(seed_node)};
  life.tags = tags;
  start(node, life);
}

void Cluster::start(std::size_t node, const LifeOptions& life) {
  SHOAL_ASSERT(!nodes_[node]);
  SHOAL_ASSERT(address_owner_.count(life.address) == 0);
  nodes_[node] = std::make_unique<Running>();
  Running& running = *nodes_[node];
  const auto meta = encode_meta(life.tags);
  running.life = lives_.size();
  running.address = life.address;
  Life record;
  record.node = node;
  record.name = life.name;
  record.address = life.address;
  record.meta = meta;
  record.started = now_;
  lives_.push_back(std::move(record));
  latest_life_[life.name] = running.life;
  address_owner_[life.address] = node;
  trouble(node);
  Rng rng = rng_.fork();
  if (options_.uneven_clocks) {
    running.clock_offset = rng.below(Duration(10 * 24h));
    running.clock_ppm = static_cast<std::int64_t>(rng.below(std::uint64_t{20'000})) - 10'000;
  }
  make_core(node, rng);
  if (!life.seeds.empty()) {
    serf::SeedOptions seeds;
    seeds.seeds = life.seeds.size();
    seeds.keep_interval = options_.keep_interval;
    running.seeds.emplace(seeds, rng.fork());
    running.seeds->start(local(node));
    running.seed_addresses = life.seeds;
  }
  command(node, [&](serf::Node& core, Instant now, serf::Outbox& out) { core.start(now, meta, out); });
  for (Observer* observer : observers_) observer->on_start(*this, node);
}

void Cluster::make_core(std::size_t node, Rng& rng) {
  const Life& own = life(node);
  serf::NodeOptions options;
  options.swim.name = swim::NodeName(own.name);
  options.swim.advertise = address(own.address);
  options.swim.timing = options_.timing;
  options.swim.members_max = options_.members_max;
  if (options_.adjust) options_.adjust(node, options);
  nodes_[node]->core = std::make_unique<serf::Node>(options, texts_, rng.fork(), local(node));
}

void Cluster::lose_memory(std::size_t node) {
  if (!running(node)) return;
  unschedule(node);
  break_streams(node);
  Rng rng = rng_.fork();
  make_core(node, rng);
  const auto meta = life(node).meta;
  command(node, [&](serf::Node& core, Instant now, serf::Outbox& out) { core.start(now, meta, out); });
}

void Cluster::crash(std::size_t node) {
  Running& running = *nodes_[node];
  unschedule(node);
  lives_[running.life].ended = now_;
  address_owner_.erase(running.address);
  break_streams(node);
  nodes_[node].reset();
  trouble(node);
}

void Cluster::freeze(std::size_t node) {
  nodes_[node]->frozen = true;
  trouble(node);
  unschedule(node);
}

void Cluster::thaw(std::size_t node) {
  Running& running = *nodes_[node];
  running.frozen = false;
  trouble(node);
  if (options_.timers_before_data && local(node) >= running.core->next_deadline()) on_deadline(node);
  running.busy_until = now_;
  read_backlog(node);
  const auto held = std::move(running.held);
  running.held.clear();
  for (const auto& [stream, side] : held) read(stream, side);
  reschedule(node);
}

void Cluster::block(std::size_t node) {
  nodes_[node]->blocked = true;
  trouble(node);
}

void Cluster::unblock(std::size_t node) {
  Running& running = *nodes_[node];
  running.blocked = false;
  trouble(node);
  running.unsent_bytes = 0;
  for (const auto& [to, bytes] : std::exchange(running.unsent, {})) send(node, to, bytes);
  read_backlog(node);
  for (const auto& [stream, side] : std::exchange(running.held, {})) read(stream, side);
  reschedule(node);
}

void Cluster::slow(std::size_t node, Duration each) {
  nodes_[node]->each = each;
  nodes_[node]->busy_until = now_;
  trouble(node);
  if (each == Duration{} && !nodes_[node]->frozen) read_backlog(node);
}

void Cluster::leave(std::size_t node) {
  Life& life = lives_[nodes_[node]->life];
  if (life.leave_asked == kNever) {
    life.leave_asked = now_;
    life.leave_was_calm = calm();
  }
  command(node, [](serf::Node& core, Instant now, serf::Outbox& out) { core.leave(now, out); });
}

void Cluster::set_tags(std::size_t node, const Tags& tags) {
  const auto meta = encode_meta(tags);
  lives_[nodes_[node]->life].meta = meta;
  command(node, [&](serf::Node& core, Instant now, serf::Outbox& out) { core.set_meta(now, meta, out); });
}

const Life* Cluster::life_of(std::string_view of) const {
  const auto found = latest_life_.find(std::string(of));
  return found == latest_life_.end() ? nullptr : &lives_[found->second];
}

// ---- Trouble

bool Cluster::calm() const {
  if (!network_.whole() || network_.options.loss_ppm > 0 || network_.options.late_ppm > 0) return false;
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    if (nodes_[node] && now_ - last_trouble(node) <= kCalm) return false;
  }
  return true;
}

Instant Cluster::last_trouble(std::size_t node) const {
  const bool now_in_trouble = !nodes_[node] || nodes_[node]->frozen || nodes_[node]->blocked ||
                              nodes_[node]->each > Duration{} || !network_.whole_at(node);
  return now_in_trouble ? now_ : troubles_[node];
}

void Cluster::cut(std::size_t a, std::size_t b, bool both_ways) { cut_sets({a}, {b}, both_ways); }

void Cluster::cut_sets(const std::vector<std::size_t>& from, const std::vector<std::size_t>& to, bool both_ways) {
  network_.cut_sets(from, to, both_ways);
  for (const std::size_t node : from) trouble(node);
  for (const std::size_t node : to) trouble(node);
}

void Cluster::cut_datagrams_only(std::size_t node) {
  network_.cut_datagrams(node);
  trouble(node);
}

void Cluster::lose_at(std::size_t node, std::uint32_t ppm) {
  network_.lose_at(node, ppm);
  trouble(node);
}

void Cluster::lose_between(std::size_t from, std::size_t to, std::uint32_t ppm) {
  network_.lose_between(from, to, ppm);
  trouble(from);
  trouble(to);
}

void Cluster::heal() {
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    if (!network_.whole_at(node)) trouble(node);
  }
  network_.heal();
}

// ---- Time

void Cluster::post(Instant at, Event event) {
  std::uint32_t index = 0;
  if (events_free_.empty()) {
    index = static_cast<std::uint32_t>(events_pool_.size());
    events_pool_.push_back(std::move(event));
  } else {
    index = events_free_.back();
    events_free_.pop_back();
    events_pool_[index] = std::move(event);
  }
  in_flight_.push({at, ++order_, index});
}

void Cluster::unschedule(std::size_t node) {
  deadlines_.erase({nodes_[node]->scheduled, node});
  nodes_[node]->scheduled = kNever;
}

void Cluster::reschedule(std::size_t node) {
  Running& running = *nodes_[node];
  if (running.frozen) return;
  Instant next = running.core->next_deadline();
  if (running.seeds) next = earlier(next, running.seeds->next_deadline());
  next = global(node, next);
  if (next == running.scheduled) return;
  deadlines_.erase({running.scheduled, node});
  running.scheduled = next;
  if (next != kNever) deadlines_.insert({next, node});
}

bool Cluster::step(Instant end) {
  if (failed()) return false;
  if (loses_memory_) lose_memory(*std::exchange(loses_memory_, std::nullopt));
  const Instant arrival = in_flight_.empty() ? kNever : in_flight_.top().at;
  const Instant due = deadlines_.empty() ? kNever : deadlines_.begin()->first;
  const Instant next = earlier(earlier(arrival, due), observers_.empty() ? kNever : next_second_);
  if (next > end) {
    now_ = end;
    return false;
  }
  if (++steps > steps_max) {
    fail("more than " + std::to_string(steps_max) + " steps");
    return false;
  }
  now_ = std::max(now_, next);
  if (!observers_.empty() && next_second_ <= now_) {
    next_second_ = now_ + 1s;
    for (Observer* observer : observers_) observer->on_second(*this);
  } else if (arrival <= due) {
    const std::uint32_t index = in_flight_.top().event;
    in_flight_.pop();
    Event event = std::move(events_pool_[index]);
    events_free_.push_back(index);
    deliver(event);
  } else {
    on_deadline(deadlines_.begin()->second);
  }
  return true;
}

void Cluster::run_for(Duration d) {
  const Instant end = now_ + d;
  while (step(end)) {
  }
}

void Cluster::on_deadline(std::size_t node) {
  Running& running = *nodes_[node];
  const Instant now = local(node);
  if (running.core->next_deadline() <= now) {
    call(node, [&](serf::Node& core, serf::Outbox& out) { core.on_deadline(now, out); });
    if (running.core->next_deadline() <= now) fail(lives_[running.life].name + " is due again at once");
  }
  if (!running.seeds || running.seeds->next_deadline() > now) return reschedule(node);
  serf::Seeds::Effects resolve;
  running.seeds->on_deadline(now, resolve);
  for (const serf::SeedEffect& asked : resolve) {
    const Endpoint at = address(running.seed_addresses[asked.seed]);
    serf::Seeds::Effects joins_wanted;
    running.seeds->on_resolved(now, asked.seed, std::span(&at, 1), *running.core, joins_wanted);
    for (const serf::SeedEffect& wanted : joins_wanted) {
      call(node, [&](serf::Node& core, serf::Outbox& out) { core.join(now, wanted.to, out); });
    }
  }
  reschedule(node);
}

// ---- Datagrams

void Cluster::send(std::size_t node, const Endpoint& to, Bytes bytes) {
  if (Running& running = *nodes_[node]; running.blocked) {
    if (running.unsent_bytes + bytes.size() + kDatagramCost > kBacklogBytesMax) return;
    running.unsent_bytes += bytes.size() + kDatagramCost;
    return void(running.unsent.emplace_back(to, std::vector<std::uint8_t>(bytes.begin(), bytes.end())));
  }
  const auto receiver = owner(to);
  if (!tamper) {
    for (Observer* observer : observers_) observer->on_datagram(*this, node, to, bytes);
    mix(kMixDatagram, bytes);
    ++nodes_[node]->datagrams_out;
    if (receiver) send_once(node, *receiver, bytes);
    return;
  }
  std::vector<std::uint8_t> changed(bytes.begin(), bytes.end());
  for (std::uint32_t copies = tamper(node, changed); copies > 0; --copies) {
    for (Observer* observer : observers_) observer->on_datagram(*this, node, to, changed);
    mix(kMixDatagram, changed);
    ++nodes_[node]->datagrams_out;
    if (receiver) send_once(node, *receiver, changed);
  }
}

void Cluster::send_once(std::size_t node, std::size_t to, Bytes bytes) {
  const Network::Fate fate = network_.datagram(node, to);
  for (std::uint32_t i = 0; i < fate.copies; ++i) {
    Event event;
    event.to = to;
    event.from = nodes_[node]->address;
    event.life = nodes_[to]->life;
    event.bytes.assign(bytes.begin(), bytes.end());
    post(now_ + fate.delay[i], std::move(event));
  }
}

void Cluster::take_datagram(std::size_t node, std::uint32_t from, Bytes bytes) {
  ++nodes_[node]->datagrams_in;
  const Instant now = local(node);
  call(node, [&](serf::Node& core, serf::Outbox& out) { core.on_packet(now, address(from), bytes, out); });
}

void Cluster::deliver(Event& event) {
  switch (event.kind) {
    case Kind::kSyn: return on_syn(event);
    case Kind::kSegment: return on_segment(event.stream, event.side);
    case Kind::kResend: return move(event.stream, event.side, Duration{});
    case Kind::kDatagram:
    case Kind::kServe:
    case Kind::kEnded:
    case Kind::kStranger: break;
  }
  if (!nodes_[event.to] || nodes_[event.to]->life != event.life) return;
  Running& to = *nodes_[event.to];
  if (event.kind == Kind::kStranger) {
    if (to.frozen || to.blocked) return;
    const Instant now = local(event.to);
    return call(event.to, [&](serf::Node& core, serf::Outbox& out) { core.push_pull(now, address(event.from), out); });
  }
  if (event.kind == Kind::kEnded) return read(event.stream, event.side);
  if (event.kind == Kind::kServe) return serve(event.to);
  const bool waits = to.frozen || to.blocked;
  if (!waits && to.each == Duration{}) return take_datagram(event.to, event.from, event.bytes);
  const std::size_t cost = event.bytes.size() + kDatagramCost;
  if (to.backlog_bytes + cost > kBacklogBytesMax) return;
  to.backlog_bytes += cost;
  to.backlog.emplace_back(event.from, std::move(event.bytes));
  if (!waits) serve_later(event.to);
}

void Cluster::serve_later(std::size_t node) {
  Running& running = *nodes_[node];
  running.busy_until = std::max(running.busy_until, now_) + running.each;
  Event event;
  event.kind = Kind::kServe;
  event.to = node;
  event.life = running.life;
  post(running.busy_until, std::move(event));
}

void Cluster::serve(std::size_t node) {
  Running& running = *nodes_[node];
  if (running.frozen || running.blocked || running.backlog.empty()) return;
  const auto [from, bytes] = std::move(running.backlog.front());
  running.backlog.pop_front();
  running.backlog_bytes -= bytes.size() + kDatagramCost;
  take_datagram(node, from, bytes);
}

void Cluster::read_backlog(std::size_t node) {
  if (nodes_[node]->each > Duration{}) {
    for (std::size_t i = nodes_[node]->backlog.size(); i > 0; --i) serve_later(node);
    return;
  }
  while (!nodes_[node]->backlog.empty()) serve(node);
}

// ---- What a core wants and says

void Cluster::drain(std::size_t node) {
  serf::Outbox& out = *outbox_;
  for (const swim::Packet& packet : out.net.packets()) {
    const Bytes bytes = out.net.view(packet);
    ++packets;
    packet_bytes += bytes.size();
    packet_bytes_most = std::max(packet_bytes_most, bytes.size());
    send(node, packet.to, bytes);
  }
  for (const swim::StreamEffect& effect : out.net.streams()) stream_effect(node, effect);
  const bool contact_stale = !out.members.empty();
  drain_news(node);
  out.clear();
  if (contact_stale) update_contact(node);
  reschedule(node);
}

void Cluster::drain_news(std::size_t node) {
  Running& running = *nodes_[node];
  serf::Outbox& out = *outbox_;
  for (const serf::MemberEvent& e : out.members) {
    mix(kMixMember + 16 * static_cast<std::uint64_t>(e.kind), e.name.bytes());
    ++events_count;
    if (e.kind == serf::MemberEventKind::kReap) ++reaped_count;
    if (keep_news) events.push_back({now_, node, e.kind, std::string(e.name.view())});
    for (Observer* observer : observers_) observer->on_member_event(*this, node, e.kind, e.name.view());
  }
  for (const serf::QueryEvent& q : out.queries) {
    mix(kMixQuery, q.payload.view());
    if (!keep_news) continue;
    queries.push_back({node, q.ref, std::string(q.name.view()), std::string(q.source.view()),
                       std::string(as_text(q.payload.view()))});
  }
  for (const serf::ResponseEvent& r : out.responses) {
    mix(kMixResponse, r.payload.view());
    if (!keep_news) continue;
    responses.push_back({node, r.token, r.ack, std::string(r.from.view()), std::string(as_text(r.payload.view()))});
  }
  for (const serf::JoinEvent& j : out.joins) {
    mix(kMixJoin + 16 * (j.ok ? 1 : 0), j.to.addr.raw());
    if (keep_news) joins.emplace_back(node, j.ok);
  }
  for (const serf::UserEventNews& e : out.user_events) {
    mix(kMixUserEvent, e.payload.view());
    if (keep_news) user_events.push_back({node, e.ltime, std::string(e.name.view())});
  }
  for (const serf::RenameEvent& renamed : out.renames) {
    mix(kMixRename, renamed.new_name.bytes());
    rename(node, std::string(renamed.new_name.view()));
  }
  for (const serf::StrangerEvent& stranger : out.strangers) {
    const auto peer = owner(stranger.source);
    if (!peer || now_ < running.stranger_after) continue;
    running.stranger_after = now_ + kStrangerPause;
    Event event;
    event.kind = Kind::kStranger;
    event.to = node;
    event.from = nodes_[*peer]->address;
    event.life = running.life;
    post(now_, std::move(event));
  }
  if (out.left) {
    mix(kMixLeft, {});
    left.insert(node);
    Life& life = lives_[running.life];
    life.left = true;
    life.leave_was_calm = life.leave_was_calm && calm();
  }
}

void Cluster::rename(std::size_t node, std::string new_name) {
  // Its old name is somebody else's again: whoever had it before.
  const std::size_t own = nodes_[node]->life;
  const std::string old_name = std::exchange(lives_[own].name, std::move(new_name));
  latest_life_.erase(old_name);
  for (std::size_t i = 0; i < lives_.size(); ++i) {
    if (i != own && lives_[i].name == old_name) latest_life_[old_name] = i;
  }
  latest_life_[lives_[own].name] = own;
  trouble(node);
}

void Cluster::update_contact(std::size_t node) {
  Running& running = *nodes_[node];
  if (!running.seeds) return;
  bool known = false;
  for (const Slot slot : running.core->members().slots()) {
    const serf::Member& member = running.core->members()[slot];
    known = member.status == serf::Status::kAlive && member.name != running.core->name();
    if (known) break;
  }
  running.seeds->on_contact(local(node), known);
}

// ---- Questions

serf::Status Cluster::status(std::size_t viewer, std::string_view of) const {
  const serf::Member* member = nodes_[viewer]->core->members().get(of);
  return member == nullptr ? serf::Status::kNone : member->status;
}

std::string Cluster::tag(std::size_t viewer, std::size_t of, std::string_view key) const {
  const serf::Member* member = nodes_[viewer]->core->members().get(name(of));
  return member == nullptr ? std::string() : std::string(wire::tag_value(member->meta(), key));
}

bool Cluster::all_see(std::size_t of, serf::Status expected) const {
  const std::string about = name(of);
  for (std::size_t viewer = 0; viewer < nodes_.size(); ++viewer) {
    if (!running(viewer) || (viewer == of && expected != serf::Status::kAlive)) continue;
    if (status(viewer, about) != expected) return false;
  }
  return true;
}

}  // namespace shoal::test
