#include "app/gossip_driver.h"

#include <cerrno>
#include <cstring>

#include "app/gossip_keys.h"
#include "app/own_address.h"
#include "config/settings.h"
#include "reactor/system.h"

namespace shoal::app {
namespace {

constexpr std::size_t kInboundStreams = 16;
constexpr std::size_t kOutboundStreams = 8;
constexpr std::size_t kStreams = kInboundStreams + kOutboundStreams + 1;  // One that another may have to go for.
constexpr std::size_t kQuestionsMax = 512;
constexpr std::size_t kPendingAsksMax = 4;
constexpr std::size_t kRefsMax = 512;
constexpr std::uint16_t kTaskPortFirst = 7947;
constexpr std::uint16_t kTaskPortLast = 7999;
constexpr Duration kAddressWait = 1s;
constexpr Duration kResolveDeadline = 5s;

swim::Timing timing_of(const config::Gossip& gossip) {
  swim::Timing t = gossip.profile == config::Profile::kLan   ? swim::lan_timing()
                   : gossip.profile == config::Profile::kWan ? swim::wan_timing()
                                                             : swim::local_timing();
  const config::Timing& own = gossip.timing;
  t.probe_interval = own.probe_interval.value_or(t.probe_interval);
  t.probe_timeout = own.probe_timeout.value_or(t.probe_timeout);
  t.gossip_interval = own.gossip_interval.value_or(t.gossip_interval);
  t.push_pull_interval = own.push_pull_interval.value_or(t.push_pull_interval);
  t.tcp_timeout = own.tcp_timeout.value_or(t.tcp_timeout);
  t.gossip_to_the_dead = own.dead_gossip_time.value_or(t.gossip_to_the_dead);
  t.suspicion_mult = own.suspicion_mult.value_or(t.suspicion_mult);
  t.suspicion_max_mult = own.suspicion_max_mult.value_or(t.suspicion_max_mult);
  t.gossip_nodes = own.gossip_nodes.value_or(t.gossip_nodes);
  t.retransmit_mult = own.retransmit_mult.value_or(t.retransmit_mult);
  t.indirect_checks = own.indirect_checks.value_or(t.indirect_checks);
  t.awareness_max = own.awareness_max.value_or(t.awareness_max);
  return t;
}

serf::SeedOptions seed_options(const config::Config& config) {
  serf::SeedOptions options;
  options.seeds = config.gossip.join.size();
  options.keep_interval = config.role == config::Role::kSidecar ? 30s : 60s;
  return options;
}

/// Empty when the tags do not fit into a member's 512 bytes.
Bytes encode_meta(const Tags& tags, MutableBytes memory) {
  ByteWriter writer(memory);
  wire::encode_tags_header(writer, static_cast<std::uint32_t>(tags.size()));
  for (const auto& [key, value] : tags) wire::encode_tag(writer, key, value);
  return writer.ok() ? writer.written() : Bytes{};
}

/// None where the kernel does not tell.
std::vector<reactor::Interface> interfaces_here() {
  auto all = reactor::interfaces();
  return all.ok() ? std::move(all.value()) : std::vector<reactor::Interface>();
}

std::size_t members_max(const config::Config& config) { return config.gossip.members_max; }

}  // namespace

Tags tags_of(std::span<const config::Tag> operators, std::string_view role, std::string_view state) {
  Tags tags = {{"role", std::string(role)},
               {"state", std::string(state)},
               {std::string(kShoalTag), std::string(kShoalTagValue)}};
  for (const config::Tag& tag : operators) tags.emplace_back(tag.name, tag.value);
  return tags;
}

Result<void> check_tags(std::span<const config::Tag> operators) {
  Tags tags = tags_of(operators, "sidecar", "starting");
  tags.emplace_back(announce::kWishTag, announce::to_text(announce::Wish::kDrain));
  std::array<std::uint8_t, swim::kMetaBytesMax> memory;
  if (!encode_meta(tags, memory).empty()) return {};
  return Error{0, "all tags together, shoal's own included, have to fit into 512 bytes; shorten them"};
}

GossipDriver::GossipDriver(reactor::Loop& loop, const config::Config& config, Log& log, GossipHandler& handler)
    : loop_(loop),
      config_(config),
      log_(log),
      handler_(handler),
      operator_tags_(config.node.tags),
      outbox_(members_max(config)),
      news_(members_max(config)),
      snapshot_(loop, log),
      questions_(kQuestionsMax),
      pending_asks_(kPendingAsksMax),
      failed_asks_(kQuestionsMax),
      refs_(kRefsMax),
      streams_(loop, *this, kStreams),
      stream_ids_(kStreams),
      peer_ended_(kStreams),
      sockets_(loop, streams_,
               [this](const Endpoint& from, Bytes bytes) {
                 if (node_ == nullptr) return;
                 drive([&](Instant now) { node_->on_packet(now, from, bytes, outbox_); });
               }),
      resolver_(loop, [this](const reactor::Resolved& answer) { on_resolved(answer); }),
      node_timer_(loop, [this] { drive([this](Instant now) { node_->on_deadline(now, outbox_); }); }),
      seeds_timer_(loop,
                   [this] {
                     serf::Seeds::Effects effects;
                     seeds_->on_deadline(loop_.now(), effects);
                     run_seeds(effects);
                   }),
      address_timer_(loop, [this] { settle_address({}); }),
      keys_timer_(loop, [this] { finish_keys(); }),
      events_timer_(loop, [this] { give_user_events(); }) {
  loop_.at_end_of_turn([this] { give_news(); });
}

GossipDriver::~GossipDriver() = default;

Result<void> GossipDriver::load_keys() {
  auto keys = load_gossip_keys(config_.gossip);
  if (!keys.ok()) return Error{keys.error().code, "gossip.keyring_file: " + keys.error().message};
  keys_ = keys.value();
  return {};
}

Result<void> GossipDriver::bind_port(std::uint16_t port) {
  const auto bound = sockets_.bind(config_.gossip.bind.addr, port);
  if (!bound.ok()) return bound.error();
  bound_ = bound.value();
  return {};
}

Result<void> GossipDriver::bind() {
  const config::Advertise& told = config_.gossip.advertise;
  const bool by_interface =
      told.kind == config::Advertise::Kind::kNetwork || told.kind == config::Advertise::Kind::kInterface;
  if (by_interface && interface_address().empty()) {
    return Error{0,
                 "gossip.advertise: no interface that is up has such an address in a family of gossip.bind (and of "
                 "task.listen); give one of this host's addresses, networks or interfaces, or leave it out"};
  }
  const config::Bind& wanted = config_.gossip.bind;
  if (wanted.port.has_value() && *wanted.port != 0) {
    const auto bound = bind_port(*wanted.port);
    if (bound.ok()) return {};
    const AddressText where = to_text(Endpoint{wanted.addr, *wanted.port});
    return Error{bound.error().code, "gossip.bind = \"" + std::string(where.view()) + "\": " + bound.error().message};
  }
  if (!wanted.port.has_value()) {
    for (std::uint16_t port = kTaskPortFirst; port <= kTaskPortLast; ++port) {
      const auto bound = bind_port(port);
      if (bound.ok()) return {};
      if (bound.error().code != EADDRINUSE) break;
    }
  }
  // The kernel's choice for UDP may be taken for TCP: a few tries.
  Error last;
  for (int attempt = 0; attempt < 8; ++attempt) {
    const auto bound = bind_port(0);
    if (bound.ok()) return {};
    last = bound.error();
  }
  return Error{last.code, "gossip.bind: " + last.message};
}

void GossipDriver::find_address(std::function<void()> ready) {
  address_ready_ = std::move(ready);
  const config::Advertise& wanted = config_.gossip.advertise;
  const bool bound_to_one = !config_.gossip.bind.addr.is_unspecified();
  if (wanted.kind != config::Advertise::Kind::kAuto || bound_to_one) return settle_address({});
  std::vector<Endpoint> seeds;
  for (const config::Seed& seed : config_.gossip.join) {
    if (seed.kind == config::Seed::Kind::kAddress) seeds.push_back(seed.address);
  }
  if (!seeds.empty() || config_.gossip.join.empty()) return settle_address(seeds);
  // The route to a seed that has a name is known when the name is.
  address_timer_.at(loop_.now() + kAddressWait);
  serf::Seeds::Effects effects;
  for (std::size_t i = 0; i < config_.gossip.join.size(); ++i) {
    effects.push_back({serf::SeedEffect::Kind::kResolve, i, {}});
  }
  run_seeds(effects);
}

/// `seeds` are addresses of seeds, as far as they are known.
void GossipDriver::settle_address(std::span<const Endpoint> seeds) {
  if (!address_ready_) return;
  address_timer_.stop();
  const config::Advertise& wanted = config_.gossip.advertise;
  IpAddress addr;
  std::uint16_t port = bound_.port;
  switch (wanted.kind) {
    case config::Advertise::Kind::kAddress:
      addr = wanted.addr;
      port = wanted.port.value_or(port);
      break;
    case config::Advertise::Kind::kNetwork:
    case config::Advertise::Kind::kInterface: addr = interface_address(); break;
    case config::Advertise::Kind::kAuto:
      if (!config_.gossip.bind.addr.is_unspecified()) addr = config_.gossip.bind.addr;
      break;
  }
  if (addr.empty()) {
    std::vector<IpAddress> towards_seeds;
    for (const Endpoint& seed : seeds) {
      if (const auto local = reactor::local_address_towards(seed); local.ok()) towards_seeds.push_back(local.value());
    }
    addr = choose_address(reach_of(config_), towards_seeds, reactor::default_route_addresses(), interfaces_here());
  }
  if (addr.empty()) {
    addr = IpAddress::v4(127, 0, 0, 1);
    log_.warn("no address but loopback was found: only this machine can reach this node; set gossip.advertise");
  }
  advertise_ = Endpoint{addr.unmapped(), port};
  log_.info("gossip address", {{"bind", to_text(bound_)}, {"advertise", to_text(advertise_)}});
  const std::function<void()> ready = std::exchange(address_ready_, nullptr);
  ready();
}

IpAddress GossipDriver::interface_address() const {
  return address_of_interface(config_.gossip.advertise, reach_of(config_), interfaces_here());
}

void GossipDriver::start(const Tags& tags) {
  serf::NodeOptions options;
  SHOAL_ASSERT(options.swim.name.assign(config_.node.name));
  options.swim.advertise = advertise_;
  options.swim.timing = timing_of(config_.gossip);
  options.swim.members_max = config_.gossip.members_max;
  options.swim.inbound_streams_max = kInboundStreams;
  options.swim.outbound_streams_max = kOutboundStreams;
  for (const Cidr& range : config_.gossip.allow) {
    if (!options.swim.allow.full()) options.swim.allow.push_back(range);
  }
  options.reap_after = config_.gossip.reap_after;
  for (serf::Key& key : keys_) {
    options.swim.keys.push_back(key);
    key = serf::Key{};
  }
  reactor::fill_with_entropy(options.swim.nonce_seed);
  SHOAL_ASSERT(options.swim.label.assign(config_.gossip.label));
  snapshot_.open(config_.gossip.snapshot_dir, config::to_text(*config_.role), config_.gossip.members_max);
  options.clock_seen = snapshot_.clocks().member;
  options.event_clock_seen = snapshot_.clocks().event;
  options.query_clock_seen = snapshot_.clocks().query;
  Rng rng(reactor::entropy_u64());
  seeds_ = std::make_unique<serf::Seeds>(seed_options(config_), rng.fork());
  texts_ = std::make_unique<TextStore>(swim::texts_max(options.swim.members_max), reactor::entropy_u64());
  node_ = std::make_unique<serf::Node>(options, *texts_, rng, loop_.now());
  for (const Endpoint& known : snapshot_.known()) {
    if (!same_place(known, advertise_)) rejoin_.push_back(known);
  }
  rng.shuffle(std::span<Endpoint>(rejoin_));
  joined_ = config_.gossip.join.empty() && rejoin_.empty();
  std::array<std::uint8_t, swim::kMetaBytesMax> memory;
  const Bytes meta = encode_meta(tags, memory);
  drive([&](Instant now) { node_->start(now, meta, outbox_); });
  for (FixedBytes<wire::kAeadKeyBytesMax>& key : options.swim.keys) key = {};
  log_.info("gossip encryption", {{"on", !node_->keyring().empty()}, {"keys", node_->keyring().size()}});
  rejoin_next();
  seeds_->start(loop_.now());
  seeds_timer_.at(seeds_->next_deadline());
}

void GossipDriver::set_tags(const Tags& tags) {
  std::array<std::uint8_t, swim::kMetaBytesMax> memory;
  const Bytes meta = encode_meta(tags, memory);
  SHOAL_ASSERT(!meta.empty());  // check_tags has said so.
  drive([&](Instant now) { node_->set_meta(now, meta, outbox_); });
}

void GossipDriver::drain() {
  for (const swim::Packet& packet : outbox_.net.packets())
    static_cast<void>(sockets_.try_send(packet.to, outbox_.net.view(packet)));
  for (const swim::StreamEffect& effect : outbox_.net.streams()) carry_out(effect);
  const auto move = [](auto& from, auto& to) {
    for (auto& event : from) {
      if (!to.full()) to.push_back(event);
    }
  };
  contact_stale_ = contact_stale_ || !outbox_.members.empty();
  move(outbox_.members, news_.members);
  move(outbox_.queries, news_.queries);
  move(outbox_.responses, news_.responses);
  move(outbox_.joins, news_.joins);
  move(outbox_.strangers, news_.strangers);
  move(outbox_.conflicts, news_.conflicts);
  move(outbox_.renames, news_.renames);
  move(outbox_.blocked, news_.blocked);
  move(outbox_.foreign, news_.foreign);
  // Of all news the only one that nobody repeats.
  if (news_.user_events.size() + outbox_.user_events.size() > news_.user_events.capacity()) give_user_events();
  move(outbox_.user_events, news_.user_events);
  move(outbox_.keyring_changes, news_.keyring_changes);
  news_.left = news_.left || outbox_.left;
  outbox_.clear();
  node_timer_.at(node_->next_deadline());
}

void GossipDriver::carry_out(const swim::StreamEffect& effect) {
  reactor::TcpStream* stream = stream_of(effect.stream);
  switch (effect.kind) {
    case swim::StreamEffect::Kind::kConnect:
      stream = streams_.connect(effect.to);
      if (stream != nullptr) {
        stream_ids_[stream->index()] = effect.stream;
      } else {
        const swim::StreamId id = effect.stream;
        loop_.post([this, id] { drive([&](Instant now) { node_->on_stream_closed(now, id, outbox_); }); });
      }
      return;
    case swim::StreamEffect::Kind::kWrite:
      if (stream != nullptr && stream->is_open()) stream->write(effect.bytes);
      return;
    case swim::StreamEffect::Kind::kFinish:
      // The peer closes when it has read all; the core's deadline ends one that does not.
      if (stream != nullptr && stream->is_open()) stream->shutdown_write();
      return;
    case swim::StreamEffect::Kind::kClose:
      if (stream != nullptr) {
        stream_ids_[stream->index()] = 0;
        peer_ended_[stream->index()] = false;
        stream->close();
      }
      return;
  }
}

reactor::TcpStream* GossipDriver::stream_of(swim::StreamId id) {
  for (std::uint32_t i = 0; i < stream_ids_.size(); ++i) {
    if (stream_ids_[i] == id) return &streams_.at(i);
  }
  return nullptr;
}

void GossipDriver::on_accepted(reactor::TcpStream& stream) {
  if (node_ == nullptr) return stream.close();
  drive([&](Instant now) {
    swim::StreamId id = 0;
    if (node_->on_stream_accepted(now, stream.peer(), id, outbox_)) {
      stream_ids_[stream.index()] = id;
    } else {
      stream.close();
    }
  });
}

void GossipDriver::on_connected(reactor::TcpStream& stream) {
  drive([&](Instant now) { node_->on_stream_connected(now, stream_ids_[stream.index()], outbox_); });
}

void GossipDriver::on_bytes(reactor::TcpStream& stream, Bytes bytes) {
  drive([&](Instant now) { node_->on_stream_bytes(now, stream_ids_[stream.index()], bytes, outbox_); });
}

void GossipDriver::stream_over(reactor::TcpStream& stream) {
  const swim::StreamId id = std::exchange(stream_ids_[stream.index()], 0);
  peer_ended_[stream.index()] = false;
  if (id != 0) drive([&](Instant now) { node_->on_stream_closed(now, id, outbox_); });
}

void GossipDriver::on_failed(reactor::TcpStream& stream, reactor::StreamEnd) { stream_over(stream); }
void GossipDriver::on_closed(reactor::TcpStream& stream, reactor::StreamEnd) { stream_over(stream); }
void GossipDriver::on_written(reactor::TcpStream& stream) {
  if (peer_ended_[stream.index()]) end_stream(stream);
}

void GossipDriver::on_end(reactor::TcpStream& stream) {
  // The peer has said all. An answer that is still being written goes on; otherwise the exchange is over.
  if (stream.is_writing()) {
    peer_ended_[stream.index()] = true;
  } else {
    end_stream(stream);
  }
}

void GossipDriver::end_stream(reactor::TcpStream& stream) {
  stream.close();
  stream_over(stream);
}

/// Members of an earlier life, one after the other until one answers.
void GossipDriver::rejoin_next() {
  rejoining_ = {};
  if (rejoin_.empty()) {
    joined_ = joined_ || config_.gossip.join.empty();
    return;
  }
  rejoining_ = rejoin_.back();
  rejoin_.pop_back();
  drive([&](Instant now) { node_->rejoin(now, rejoining_, outbox_); });
}

void GossipDriver::on_stranger(const Endpoint& source) {
  if (loop_.now() < stranger_after_) return;
  // One at a time. A ping says where to turn to, and whoever is there may take the connection and say nothing: an
  // exchange a second would hold every stream that a join and our own push/pulls need.
  stranger_ = source;
  stranger_after_ = loop_.now() + node_->swim().options().timing.tcp_timeout + kStrangerPause;
  push_pull(source);
}

void GossipDriver::update_contact() {
  const bool sidecar = config_.role == config::Role::kSidecar;
  bool known = false;
  for (const serf::Slot slot : node_->members().slots()) {
    const serf::Member& member = node_->members()[slot];
    if (member.status != serf::Status::kAlive || member.name == node_->name()) continue;
    known = known || sidecar || wire::tag_value(member.meta(), "role") == "sidecar";
  }
  seeds_->on_contact(loop_.now(), known);
  seeds_timer_.at(seeds_->next_deadline());
}

void GossipDriver::run_seeds(serf::Seeds::Effects& effects) {
  for (std::size_t i = 0; i < effects.size(); ++i) {
    const serf::SeedEffect effect = effects[i];
    if (effect.kind == serf::SeedEffect::Kind::kJoin) {
      drive([&](Instant now) { node_->join(now, effect.to, outbox_); });
      continue;
    }
    const config::Seed& seed = config_.gossip.join[effect.seed];
    const Instant deadline = loop_.now() + kResolveDeadline;
    switch (seed.kind) {
      case config::Seed::Kind::kAddress: {
        serf::Seeds::Effects joins;
        const Endpoint address[] = {seed.address};
        if (node_ != nullptr) seeds_->on_resolved(loop_.now(), effect.seed, address, *node_, joins);
        for (const serf::SeedEffect& join : joins) {
          drive([&](Instant now) { node_->join(now, join.to, outbox_); });
        }
        break;
      }
      case config::Seed::Kind::kHost:
        static_cast<void>(resolver_.resolve_host(effect.seed, seed.host, seed.port, deadline));
        break;
      case config::Seed::Kind::kSrv: static_cast<void>(resolver_.resolve_srv(effect.seed, seed.host, deadline)); break;
    }
  }
  if (seeds_ != nullptr) seeds_timer_.at(seeds_->next_deadline());
}

void GossipDriver::on_resolved(const reactor::Resolved& answer) {
  const config::Seed& seed = config_.gossip.join[answer.token];
  if (answer.endpoints.empty()) {
    if (!joined_ && !join_trouble_told_) {
      join_trouble_told_ = true;
      log_.warn("cannot resolve a seed yet; tried again for ever", {{"seed", seed.text}, {"reason", answer.error}});
    }
    return;
  }
  if (node_ == nullptr) return settle_address({answer.endpoints.begin(), answer.endpoints.size()});
  serf::Seeds::Effects joins;
  seeds_->on_resolved(loop_.now(), answer.token, {answer.endpoints.begin(), answer.endpoints.size()}, *node_, joins);
  run_seeds(joins);
}

void GossipDriver::ask(const Question& question) {
  switch (question.route) {
    case announce::Route::kDirectUdp: return send_question(question, serf::Route::kDatagram);
    case announce::Route::kDirectTcp: return send_question(question, serf::Route::kStream);
    case announce::Route::kPushPullThenUdp: {
      if (pending_asks_.full() || question.payload.size() > announce::kPayloadBytesMax) {
        return send_question(question, serf::Route::kDatagram);
      }
      PendingAsk& pending = pending_asks_.emplace_back();
      pending.question = question;
      pending.payload_size = question.payload.size();
      std::copy(question.payload.begin(), question.payload.end(), pending.payload.begin());
      pending.question.node = {};  // Not needed on this way, and not ours to keep.
      return push_pull(question.to);
    }
    case announce::Route::kBroadcast: {
      serf::QueryToken query = 0;
      const std::span<const std::string_view> nodes(&question.node, question.node.empty() ? 0 : 1);
      drive([&](Instant now) {
        query = node_->query(
            now, {.name = question.query, .payload = question.payload, .timeout = question.timeout, .nodes = nodes},
            outbox_);
      });
      if (questions_.full()) questions_.erase(0);
      questions_.push_back({query, question.token});
      return;
    }
  }
}

void GossipDriver::send_question(const Question& question, serf::Route route) {
  serf::QueryToken query = 0;
  drive([&](Instant now) {
    query = node_->query_direct(now, question.to, route,
                                {.name = question.query, .payload = question.payload, .timeout = question.timeout},
                                outbox_);
  });
  if (query == 0) {
    if (!failed_asks_.full()) failed_asks_.push_back(question.token);
    return;
  }
  if (questions_.full()) questions_.erase(0);
  questions_.push_back({query, question.token});
}

bool GossipDriver::answer(std::uint64_t ref, Bytes payload) {
  if (ref == 0 || ref + kRefsMax <= last_ref_) return false;  // Overwritten: it is long past its deadline.
  bool sent = false;
  drive([&](Instant now) { sent = node_->respond(now, refs_[ref % kRefsMax], payload, outbox_); });
  return sent;
}

void GossipDriver::push_pull(const Endpoint& to) {
  drive([&](Instant now) { node_->push_pull(now, to, outbox_); });
}

void GossipDriver::close() { snapshot_.close(); }

void GossipDriver::leave() {
  snapshot_.leave();
  drive([&](Instant now) { node_->leave(now, outbox_); });
}

}  // namespace shoal::app
