#include "app/sidecar_app.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <utility>

#include "announce/registrar.h"
#include "app/gossip_control.h"
#include "app/gossip_driver.h"
#include "app/pool_file.h"
#include "app/process.h"
#include "app/rpc_server.h"
#include "app/runtime_streams.h"
#include "app/service_manager.h"
#include "app/sidecar_view.h"
#include "base/hash.h"
#include "config/cli.h"
#include "reactor/connect_probe.h"
#include "reactor/signals.h"
#include "sidecar/core.h"

namespace shoal::app {
namespace {

constexpr std::initializer_list<int> kSignals = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
constexpr Duration kLeaveMost = 2s;
/// From the join until every task has had time to answer a solicit, its repetitions included.
constexpr Duration kSettleAfterJoin = 4s;

sidecar::Method method_of(config::Method method) {
  switch (method) {
    case config::Method::kAuto: return sidecar::Method::kAuto;
    case config::Method::kDynamic: return sidecar::Method::kDynamic;
    case config::Method::kSlots: return sidecar::Method::kSlots;
  }
  SHOAL_UNREACHABLE();
}

sidecar::Options core_options(const config::Config& config, const Endpoint& advertise) {
  sidecar::Options options;
  for (const config::RuntimeSocket& socket : config.haproxy.sockets) {
    options.is_master[options.sockets.size()] = socket.is_master;
    options.sockets.push_back(FixedString<128>(socket.text));
  }
  options.registry.members_max = config.gossip.members_max;
  options.registry.tombstones_max = config.gossip.members_max;
  SHOAL_ASSERT(options.registry.default_pool.assign(config.haproxy.backend));
  SHOAL_ASSERT(options.registry.server_prefix.assign(config.haproxy.server_prefix));
  options.policy.grace = config.haproxy.grace;
  options.policy.forget_after = config.gossip.reap_after;
  options.policy.removal_floor = config.haproxy.removal_floor;
  options.policy.allow_loopback = advertise.addr.is_loopback();
  options.policy.verify = config.haproxy.verify == config::Verify::kConnect;
  options.dry_run = config.haproxy.dry_run;
  options.method = method_of(config.haproxy.method);
  options.check_first = config.haproxy.verify == config::Verify::kCheck;
  for (const std::string& pool : config.haproxy.backends) {
    const auto name = haproxy::BackendName::parse(pool);
    if (name && !options.policy.pools.full()) options.policy.pools.push_back(*name);
  }
  // config has checked the words.
  options.server_options = *haproxy::ServerOptions::parse(config.haproxy.server_options);
  for (const config::PoolOptions& of_pool : config.haproxy.pools) {
    options.pool_options.push_back(
        {*haproxy::BackendName::parse(of_pool.pool), *haproxy::ServerOptions::parse(of_pool.server_options)});
  }
  options.reconcile_interval = config.haproxy.reconcile_interval;
  return options;
}

announce::Registrar::Options registrar_options(const config::Config& config, const Endpoint& advertise) {
  announce::Registrar::Options options;
  options.members_max = config.gossip.members_max;
  options.solicit_interval = config.sidecar.solicit_interval;
  options.allow_loopback = advertise.addr.is_loopback();
  return options;
}

sidecar::MemberStatus sidecar_status(serf::MemberEventKind kind, const serf::Member* member) {
  if (kind == serf::MemberEventKind::kReap || member == nullptr) return sidecar::MemberStatus::kReaped;
  switch (member->status) {
    case serf::Status::kAlive: return sidecar::MemberStatus::kAlive;
    case serf::Status::kLeaving: return sidecar::MemberStatus::kLeaving;
    case serf::Status::kLeft: return sidecar::MemberStatus::kLeft;
    case serf::Status::kNone:
    case serf::Status::kFailed: return sidecar::MemberStatus::kFailed;
  }
  SHOAL_UNREACHABLE();
}

announce::MemberStatus announce_status(sidecar::MemberStatus status) {
  switch (status) {
    case sidecar::MemberStatus::kAlive: return announce::MemberStatus::kAlive;
    case sidecar::MemberStatus::kSuspect: return announce::MemberStatus::kSuspect;
    case sidecar::MemberStatus::kRemembered: break;  // Gossip never says so.
    case sidecar::MemberStatus::kLeaving:
    case sidecar::MemberStatus::kLeft: return announce::MemberStatus::kLeft;
    case sidecar::MemberStatus::kFailed: return announce::MemberStatus::kFailed;
    case sidecar::MemberStatus::kReaped: return announce::MemberStatus::kReaped;
  }
  SHOAL_UNREACHABLE();
}

sidecar::VerifyResult verify_result(reactor::ProbeResult result) {
  switch (result) {
    case reactor::ProbeResult::kConnected: return sidecar::VerifyResult::kConnected;
    case reactor::ProbeResult::kRefused: return sidecar::VerifyResult::kRefused;
    case reactor::ProbeResult::kTimedOut: return sidecar::VerifyResult::kTimedOut;
    case reactor::ProbeResult::kUnreachable: return sidecar::VerifyResult::kUnreachable;
  }
  SHOAL_UNREACHABLE();
}

class SidecarApp final : private GossipHandler, private RuntimeStreamsHandler {
 public:
  explicit SidecarApp(const config::Config& config)
      : config_(config),
        process_log_(config.log),
        log_(process_log_.log()),
        rng_(reactor::entropy_u64()),
        signals_(loop_, kSignals, [this](int signal, int) { on_signal(signal); }),
        gossip_(loop_, config, log_, *this),
        view_(config, core_, stopping_),
        service_manager_(loop_, log_),
        control_(loop_, config, log_, gossip_, view_,
                 [](const announce::Steering&) { return std::string("this is a sidecar"); }),
        pool_file_(loop_, log_),
        core_out_(config.haproxy.sockets.size(), haproxy::SessionOptions{}, config.haproxy.dry_run),
        streams_(loop_, config.haproxy.sockets,
                 "shoal sidecar " + config.node.name + ", process " + std::to_string(::getpid()), *this),
        probes_(
            loop_,
            [this](std::uint64_t id, const Endpoint&, reactor::ProbeResult result) {
              drive_core([&](Instant now) {
                core_->on_verify_result(now, static_cast<std::uint32_t>(id), verify_result(result), core_out_);
              });
            },
            sidecar::Outbox::kVerifiesMax + sidecar::Outbox::kLooksMax),
        core_timer_(loop_, [this] { drive_core([this](Instant now) { core_->on_deadline(now, core_out_); }); }),
        registrar_timer_(
            loop_, [this] { drive_registrar([this](Instant now) { registrar_->on_deadline(now, *registrar_out_); }); }),
        ready_timer_(loop_, [this] { drive_core([this](Instant now) { core_->on_cluster_ready(now, core_out_); }); }),
        stop_timer_(loop_, [this] { on_stop_deadline(); }) {}

  int run() {
    for (const std::string& warning : config_.warnings) log_.warn(warning);
    const auto keys = gossip_.load_keys();
    if (!keys.ok()) return bad_settings(keys.error().message);
    const auto bound = gossip_.bind();
    if (!bound.ok()) return unavailable(bound.error().message);
    const auto control = control_.open();
    if (!control.ok()) return unavailable(control.error().message);
    if (config_.rpc.bind) {
      rpc_ = std::make_unique<RpcServer>(loop_, config_, log_, gossip_, rpc_role());
      const auto rpc = rpc_->open();
      if (!rpc.ok()) return unavailable(rpc.error().message);
    }
    loop_.at_end_of_turn([this] { settle(); });
    gossip_.find_address([this] { start(); });
    loop_.run();
    reactor::ignore_signals(kSignals);
    return exit_code_;
  }

 private:
  int unavailable(const std::string& why) {
    log_.error(why);
    return kExitUnavailable;
  }
  int bad_settings(const std::string& why) {
    log_.error(why);
    return config::kExitBadSettings;
  }

  void start() {
    const auto options = registrar_options(config_, gossip_.advertise());
    registrar_ = std::make_unique<announce::Registrar>(options, rng_.fork(), loop_.now());
    registrar_out_ =
        std::make_unique<announce::RegistrarOutbox>(options.queries_max, options.held_max, options.solicits_max);
    core_ = std::make_unique<sidecar::Core>(core_options(config_, gossip_.advertise()), rng_.fork(), loop_.now());
    if (config_.haproxy.dry_run) log_.warn("dry run: HAProxy is asked, and told nothing (haproxy.dry_run)");
    for (std::size_t i = 0; i < core_->proxies(); ++i) {
      log_.info("sidecar started", {{"node", config_.node.name}, {"socket", socket_text(i)}});
    }
    gossip_.start(tags_of(gossip_.operator_tags(), "sidecar", "ready"));
    for (const sidecar::LastServer& server : pool_file_.open(config_.haproxy.state_file, config_.gossip.members_max)) {
      drive_core([&](Instant now) { core_->remember(now, server, core_out_); });
    }
    pool_file_.follow(*core_);
    service_manager_.ready();
    core_timer_.at(core_->next_deadline());
    registrar_timer_.at(registrar_->next_deadline());
  }

  RpcServer::Role rpc_role() {
    return {.tags_changed =
                [this] {
                  if (!leaving_) gossip_.set_tags(tags_of(gossip_.operator_tags(), "sidecar", "ready"));
                },
            .stop =
                [this] {
                  if (!config_.haproxy.command.empty()) {
                    return std::string("HAProxy's parent would start this sidecar anew; stop that one, with SIGTERM");
                  }
                  if (!stopping_) on_signal(SIGTERM);  // Asked again, it must not be in more of a hurry.
                  return std::string();
                }};
  }

  void on_signal(int signal) {
    if (signal == SIGUSR1 || signal == SIGUSR2) return;  // By default they would end us.
    if (signal == SIGHUP) return service_manager_.reload([this] { gossip_.reload_keys(); });
    service_manager_.stopping();
    const bool fast = signal == SIGQUIT || stopping_;
    log_.info("stop requested", {{"signal", signal}, {"fast", fast}});
    if (!gossip_.started()) return finish();
    if (fast) return leave();
    stopping_ = true;
    const Duration budget = std::min(config_.task.drain_timeout, config_.task.stop_timeout - 2s);
    if (!any_haproxy() || budget <= kLeaveMost) return leave();
    // While HAProxy serves, tasks may still come and go: it needs us as long as it lives.
    log_.info("serving until HAProxy is gone", {{"at_most_ms", budget - kLeaveMost}});
    stop_timer_.at(loop_.now() + budget - kLeaveMost);
  }

  [[nodiscard]] bool any_haproxy() const {
    for (std::size_t i = 0; i < core_->proxies(); ++i) {
      if (core_->proxy_alive(i)) return true;
    }
    return false;
  }

  /// Asked to stop, the sidecar serves as long as a HAProxy needs it.
  void leave_when_alone() {
    if (stopping_ && !leaving_ && !any_haproxy()) leave();
  }

  [[nodiscard]] std::string_view socket_text(std::size_t proxy) const { return config_.haproxy.sockets[proxy].text; }

  void on_stop_deadline() { leaving_ ? finish() : leave(); }

  void leave() {
    if (leaving_) return finish();
    stopping_ = leaving_ = true;
    stop_timer_.at(loop_.now() + kLeaveMost);
    gossip_.leave();
  }

  void finish() {
    pool_file_.close();
    control_.close();
    if (rpc_ != nullptr) rpc_->close();
    gossip_.close();
    gossip_.log_refused();
    log_.info("stopped");
    loop_.stop();
  }

  // RuntimeStreamsHandler
  void on_runtime_connected(std::size_t proxy, haproxy::Stream stream) override {
    drive_core([&](Instant now) { core_->on_connected(now, proxy, stream, core_out_); });
  }
  void on_runtime_failed(std::size_t proxy, haproxy::Stream stream, const std::string& why,
                         RuntimeFailure failure) override {
    // First, since the core says it too, in words that know nothing of another sidecar.
    if (stream == haproxy::Stream::kMain) tell_haproxy_away(proxy, why, failure == RuntimeFailure::kTaken);
    // What another sidecar drives is none of ours: that one answers for it.
    const bool nobody_listens = failure != RuntimeFailure::kOther;
    drive_core([&](Instant now) { core_->on_connect_failed(now, proxy, stream, why, nobody_listens, core_out_); });
  }
  void on_runtime_bytes(std::size_t proxy, haproxy::Stream stream, Bytes bytes) override {
    drive_core([&](Instant now) { core_->on_bytes(now, proxy, stream, bytes, core_out_); });
  }
  void on_runtime_closed(std::size_t proxy, haproxy::Stream stream) override {
    drive_core([&](Instant now) { core_->on_closed(now, proxy, stream, core_out_); });
  }

  // GossipHandler
  void on_member(serf::MemberEventKind kind, std::string_view name, const serf::Member* member) override {
    const std::string_view role = member == nullptr ? "" : wire::tag_value(member->meta(), "role");
    log_.info(
        member_words(kind),
        {{"node", name}, {"addr", member == nullptr ? AddressText() : to_text(member->endpoint())}, {"role", role}});
    if (name == gossip_.node().name()) return;
    met_somebody_ = true;
    const sidecar::MemberStatus status = sidecar_status(kind, member);
    announce::MemberChange change;
    change.name = name;
    change.status = announce_status(status);
    if (member != nullptr) {
      change.gossip = member->endpoint();
      change.is_shoal = !wire::tag_value(member->meta(), kShoalTag).empty();
      change.is_task = role == "task";
    }
    drive_core([&](Instant now) { core_->on_member(now, name, change.gossip.addr, status, core_out_); });
    if (member != nullptr) {
      const announce::Wish wish = announce::wish_of(wire::tag_value(member->meta(), announce::kWishTag));
      drive_core([&](Instant now) { core_->on_wish(now, name, wish, core_out_); });
    }
    drive_registrar([&](Instant now) { registrar_->on_member(now, change, *registrar_out_); });
  }

  static std::string_view member_words(serf::MemberEventKind kind) {
    switch (kind) {
      case serf::MemberEventKind::kJoin: return "member joined";
      case serf::MemberEventKind::kLeaving: return "member leaving";
      case serf::MemberEventKind::kLeave: return "member left";
      case serf::MemberEventKind::kFailed: return "member failed";
      case serf::MemberEventKind::kUpdate: return "member updated";
      case serf::MemberEventKind::kReap: return "member forgotten";
    }
    SHOAL_UNREACHABLE();
  }

  void on_query(std::uint64_t ref, const serf::QueryEvent& query) override {
    announce::Query asked;
    asked.ref = ref;
    asked.name = query.name.view();
    asked.source_node = query.source.view();
    asked.source = query.ref.reply_to;
    asked.payload = query.payload.view();
    drive_registrar([&](Instant now) { registrar_->on_query(now, asked, *registrar_out_); });
  }

  void on_response(std::uint64_t token, std::string_view from, Bytes payload) override {
    if (control_.on_response(token, from, payload)) return;
    drive_registrar([&](Instant now) { registrar_->on_solicit_answer(now, token, from, payload, *registrar_out_); });
  }

  void on_ask_failed(std::uint64_t) override {}  // The registrar's own deadline asks again.
  void on_left() override { finish(); }
  void on_renamed() override {}  // Tasks ask whoever says that it is a sidecar.

  // The registrar and the core: each is driven and its effects carried out at once, but what one wants of the other
  // waits for the end of the turn (`settle`), so that neither is called in the middle of the other's effects.
  template <typename F>
  void drive_registrar(F&& f) {
    f(loop_.now());
    drain_registrar();
  }

  void drain_registrar() {
    for (const announce::RegistrarEffect& effect : registrar_out_->effects()) {
      if (const auto* forward = std::get_if<announce::ForwardAnnouncement>(&effect)) {
        if (!announcements_.full()) announcements_.push(*forward);  // Else the task's next try brings it.
      } else if (const auto* departure = std::get_if<announce::ForwardDeparture>(&effect)) {
        if (!departures_.full()) departures_.push(*departure);
      } else if (const auto* answer = std::get_if<announce::Answer>(&effect)) {
        gossip_.answer(answer->query_ref, answer->payload);
      } else if (const auto* solicit = std::get_if<announce::Solicit>(&effect)) {
        gossip_.ask({solicit->token, solicit->route, solicit->to, solicit->node.view(), announce::kSolicitQuery,
                     solicit->payload});
      } else if (const auto* pull = std::get_if<announce::PushPull>(&effect)) {
        if (is_allowed(pull->with.addr)) gossip_.push_pull(pull->with);
      }
    }
    registrar_out_->clear();
    registrar_timer_.at(registrar_->next_deadline());
  }

  [[nodiscard]] bool is_allowed(const IpAddress& addr) const {
    if (config_.gossip.allow.empty()) return true;
    for (const Cidr& range : config_.gossip.allow) {
      if (range.contains(addr)) return true;
    }
    return false;
  }

  void settle() {
    service_manager_.status(view_.take_line());
    if (!gossip_.started()) return;
    if (!ready_armed_ && (gossip_.joined() || met_somebody_)) {
      ready_armed_ = true;
      ready_timer_.at(loop_.now() + kSettleAfterJoin);
    }
    while (!announcements_.empty() || !departures_.empty() || !changed_.empty()) {
      if (!announcements_.empty()) {
        const announce::ForwardAnnouncement said = announcements_.pop();
        drive_core([&](Instant now) { core_->on_announcement(now, said.node.view(), said.announcement, core_out_); });
        tell_standing(said.node.view());
      } else if (!departures_.empty()) {
        const announce::ForwardDeparture said = departures_.pop();
        log_.info("task departs", {{"node", said.node}});
        drive_core([&](Instant now) { core_->on_departure(now, said.node.view(), said.departure, core_out_); });
        tell_standing(said.node.view());
      } else {
        const announce::NodeName node = changed_.pop();
        tell_standing(node.view());
      }
    }
    if (std::exchange(all_changed_, false)) {
      for (std::uint32_t i = 0; i < core_->registry().size(); ++i) {
        const sidecar::Fact& fact = core_->registry()[i];
        if (fact.used) tell_standing(fact.node.view());
      }
    }
  }

  void tell_standing(std::string_view node) {
    const std::uint32_t index = core_->registry().find(node);
    if (index == sidecar::Registry::kNone) return;
    const announce::Standing standing = core_->standing(node, core_->registry()[index].word.generation);
    tell_refusal(core_->registry()[index], standing);
    drive_registrar([&](Instant now) { registrar_->on_standing(now, node, standing, *registrar_out_); });
  }

  template <typename F>
  void drive_core(F&& f) {
    f(loop_.now());
    for (std::size_t i = 0; i < core_out_.proxies(); ++i) streams_.carry_out(i, core_out_.session(i));
    for (const sidecar::Verify& verify : core_out_.verifies) {
      // One that finds no free slot (after a freeze both deadlines can be over) counts as timed out by the core's own.
      static_cast<void>(probes_.start(verify.id, verify.place, loop_.now() + verify.deadline));
    }
    for (const sidecar::Event& event : core_out_.events) note(event);
    for (const sidecar::WouldSend& line : core_out_.would_send) {
      log_.info("dry run: would send", {{"socket", config_.haproxy.sockets[line.proxy].text}, {"command", line.text}});
    }
    core_out_.clear();
    core_timer_.at(core_->next_deadline());
  }

  /// Once for each time that it goes away, also when it was never there.
  void tell_haproxy_away(std::size_t proxy, std::string_view reason, bool is_taken) {
    if (std::exchange(away_told_[proxy], true)) return;
    log_.warn(is_taken ? "waiting for the socket" : "HAProxy is away; tried again for ever",
              {{"socket", socket_text(proxy)}, {"reason", reason}});
  }

  /// What the task is told is said here too, once for each node and reason.
  void tell_refusal(const sidecar::Fact& fact, const announce::Standing& standing) {
    // A member that has not announced yet, or has gone, is nobody's trouble.
    if (standing.reason == announce::Reason::kNone || !fact.has_word || fact.departed || !fact.is_there()) return;
    const std::string_view node = fact.node.view();
    const std::uint64_t mark = hash64(standing.reason_text.bytes(), hash64(as_bytes(node)));
    for (std::size_t i = 0; i < refusals_told_.size(); ++i) {
      if (refusals_told_[i] == mark) return;
    }
    if (refusals_told_.full()) refusals_told_.pop();
    refusals_told_.push(mark);
    log_.warn(
        "task not in rotation",
        {{"node", node}, {"reason", standing.reason_text}, {"needs_a_fix", standing.reason == announce::Reason::kFix}});
  }

  void note(const sidecar::Event& e) {
    const AddressText place = e.place.port == 0 ? AddressText() : to_text(e.place);
    const std::string_view socket = socket_text(e.proxy);
    const auto server_line = [&](std::string_view words) {
      log_.info(words, {{"node", e.node},
                        {"server", e.server.view()},
                        {"pool", e.pool.view()},
                        {"addr", place},
                        {"socket", socket}});
    };
    switch (e.kind) {
      case sidecar::EventKind::kStandingChanged:
        if (changed_.full()) {
          all_changed_ = true;
        } else {
          changed_.push(e.node);
        }
        return;
      case sidecar::EventKind::kServerAdded: return server_line("server added");
      case sidecar::EventKind::kServerInRotation: return server_line("server in rotation");
      case sidecar::EventKind::kServerOut: return server_line("server out of rotation");
      case sidecar::EventKind::kServerDrained: return server_line("server drained");
      case sidecar::EventKind::kServerDeleted: return server_line("server deleted");
      case sidecar::EventKind::kSlotFreed: return server_line("slot free again");
      case sidecar::EventKind::kPoolBySlots:
        return log_.warn(
            "the pool takes no servers at run time; the slots of its server-template are filled, and tasks' weights "
            "do not count there",
            {{"pool", e.pool.view()}, {"socket", socket}, {"haproxy", e.text}});
      case sidecar::EventKind::kServerHeldByOperator:
        return server_line("server held by an operator; shoal leaves it as it is");
      case sidecar::EventKind::kServerHeld:
        return log_.warn("server held in rotation although its task is called gone or unready",
                         {{"node", e.node},
                          {"server", e.server.view()},
                          {"pool", e.pool.view()},
                          {"addr", place},
                          {"reason", e.text}});
      case sidecar::EventKind::kServerHoldEnded:
        return log_.info("server no longer held", {{"node", e.node},
                                                   {"server", e.server.view()},
                                                   {"pool", e.pool.view()},
                                                   {"addr", place},
                                                   {"reason", e.text}});
      // These two also change the standing, and tell_refusal has the words for people.
      case sidecar::EventKind::kServerRefused:
        return log_.debug("server refused", {{"node", e.node}, {"server", e.server.view()}, {"reason", e.text}});
      case sidecar::EventKind::kServerUnreachable:
        return log_.debug("connect failed", {{"node", e.node}, {"addr", place}, {"reason", e.text}});
      case sidecar::EventKind::kHaproxyUp:
        away_told_[e.proxy] = false;
        return log_.info("HAProxy connected", {{"socket", socket}, {"version", e.text}});
      case sidecar::EventKind::kHaproxyReplaced:
        away_told_[e.proxy] = false;
        return log_.warn("HAProxy was replaced; building the pool anew", {{"socket", socket}, {"version", e.text}});
      case sidecar::EventKind::kHaproxyDown:
        tell_haproxy_away(e.proxy, e.text.view(), false);
        return leave_when_alone();
      case sidecar::EventKind::kHaproxyFault:
        return log_.warn("known faults of this HAProxy",
                         {{"socket", socket}, {"version", core_->session(e.proxy).info().version}, {"fault", e.text}});
      case sidecar::EventKind::kSocketLevel:
        return log_.error(
            "HAProxy's socket is below level admin; give its `stats socket` line in haproxy.cfg `level admin`",
            {{"socket", socket}, {"level", e.text}});
      case sidecar::EventKind::kOldProcess:
        return log_.info("an old HAProxy process goes on until its last request", {{"socket", socket}});
      case sidecar::EventKind::kOldProcessEnded:
        log_.info("old HAProxy process done", {{"socket", socket}, {"reason", e.text}});
        return leave_when_alone();
      case sidecar::EventKind::kOldProcessGivenUp:
        log_.warn("old HAProxy process given up: it may still have requests", {{"socket", socket}, {"reason", e.text}});
        return leave_when_alone();
      case sidecar::EventKind::kMembersFull:
        return log_.warn("member refused: gossip.members_max is reached", {{"node", e.node}});
    }
  }

  const config::Config& config_;
  ProcessLog process_log_;
  Log& log_;
  Rng rng_;
  reactor::Loop loop_;
  reactor::Signals signals_;
  GossipDriver gossip_;
  std::unique_ptr<sidecar::Core> core_;  // From `start` on.
  SidecarView view_;
  ServiceManager service_manager_;
  GossipControl control_;
  std::unique_ptr<RpcServer> rpc_;  // None unless it is asked for.
  PoolFile pool_file_;
  sidecar::Outbox core_out_;
  RuntimeStreams streams_;
  reactor::ConnectProbes probes_;
  std::unique_ptr<announce::Registrar> registrar_;
  std::unique_ptr<announce::RegistrarOutbox> registrar_out_;
  Ring<announce::ForwardAnnouncement> announcements_{512};
  Ring<announce::ForwardDeparture> departures_{512};
  Ring<announce::NodeName> changed_{1024};
  reactor::Timer core_timer_;
  reactor::Timer registrar_timer_;
  reactor::Timer ready_timer_;
  reactor::Timer stop_timer_;
  Ring<std::uint64_t> refusals_told_{256};
  bool all_changed_ = false;  // More standings than `changed_` holds.
  std::array<bool, config::kSocketsMax> away_told_{};
  bool met_somebody_ = false;
  bool ready_armed_ = false;
  bool stopping_ = false;
  bool leaving_ = false;
  int exit_code_ = kExitOk;
};

}  // namespace

int run_sidecar(const config::Config& config) {
  reactor::ignore_sigpipe();
  return std::make_unique<SidecarApp>(config)->run();
}

}  // namespace shoal::app
