#include "app/task_app.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <utility>

#include "announce/announcer.h"
#include "app/gossip_control.h"
#include "app/gossip_driver.h"
#include "app/process.h"
#include "app/rpc_server.h"
#include "app/service_manager.h"
#include "app/service_socket.h"
#include "app/supervisor_log.h"
#include "app/task_view.h"
#include "app/worker_processes.h"
#include "app/worker_watch.h"
#include "config/cli.h"
#include "reactor/signals.h"
#include "task/supervisor.h"

namespace shoal::app {
namespace {

constexpr std::initializer_list<int> kSignals = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH};

task::Restart restart_of(config::Restart restart) {
  switch (restart) {
    case config::Restart::kNever: return task::Restart::kNever;
    case config::Restart::kOnFailure: return task::Restart::kOnFailure;
    case config::Restart::kAlways: return task::Restart::kAlways;
  }
  SHOAL_UNREACHABLE();
}

task::Supervisor::Options supervisor_options(const config::Config& config) {
  task::Supervisor::Options options;
  options.drain_timeout = config.task.drain_timeout;
  options.stop_timeout = config.task.stop_timeout;
  options.ready_timeout = config.worker.ready_timeout;
  options.stop_signal = config.worker.stop_signal;
  options.signals_leader_only = config.worker.signal_scope == config::SignalScope::kLeader;
  options.restart = restart_of(config.worker.restart);
  options.backlog_wait = config.worker.backlog_wait;
  return options;
}

announce::Announcer::Options announcer_options() {
  announce::Announcer::Options options;
  options.start_id = static_cast<std::uint64_t>(reactor::wall_clock_ms());
  return options;
}

announce::MemberStatus status_of(serf::MemberEventKind kind, const serf::Member* member) {
  if (kind == serf::MemberEventKind::kReap || member == nullptr) return announce::MemberStatus::kReaped;
  switch (member->status) {
    case serf::Status::kAlive: return announce::MemberStatus::kAlive;
    case serf::Status::kLeaving:
    case serf::Status::kLeft: return announce::MemberStatus::kLeft;
    case serf::Status::kNone:
    case serf::Status::kFailed: return announce::MemberStatus::kFailed;
  }
  SHOAL_UNREACHABLE();
}

/// For the tag `state`, before a stop.
std::string_view word_of(task::Supervisor::State state) {
  using State = task::Supervisor::State;
  if (state == State::kReady || state == State::kChanging) return "ready";
  return state == State::kUnhealthy ? "unhealthy" : "starting";
}

class TaskApp final : private GossipHandler, private WorkerHandler, private WorkerWatchHandler {
 public:
  explicit TaskApp(const config::Config& config)
      : config_(config),
        process_log_(config.log),
        log_(process_log_.log()),
        rng_(reactor::entropy_u64()),
        workers_(loop_, config, process_log_, rng_.fork(), *this),
        watch_(loop_, config, log_, rng_.fork(), *this),
        signals_(loop_, kSignals, [this](int signal, int) { on_signal(signal); }),
        service_(config.worker.socket),
        gossip_(loop_, config, log_, *this),
        view_(announcer_, config.health.min_proxies, view_source()),
        service_manager_(loop_, log_),
        control_(loop_, config, log_, gossip_, view_,
                 [this](const announce::Steering& wish) { return steer(wish, config_.node.name); }),
        supervisor_(supervisor_options(config), rng_.fork(), loop_.now()),
        announcer_(announcer_options(), rng_.fork(), loop_.now()),
        announcer_out_(announce::Announcer::Options{}.sidecars_max),
        supervisor_timer_(
            loop_,
            [this] { drive_supervisor([this](Instant now) { supervisor_.on_deadline(now, supervisor_out_); }); }),
        announcer_timer_(
            loop_, [this] { drive_announcer([this](Instant now) { announcer_.on_deadline(now, announcer_out_); }); }) {}

  int run() {
    for (const std::string& warning : config_.warnings) log_.warn(warning);
    const auto keys = gossip_.load_keys();
    if (!keys.ok()) return bad_settings(keys.error().message);
    const auto service = service_.open(config_.task.listen);
    if (!service.ok()) return unavailable("task.listen: " + service.error().message);
    watch_.open(service_);
    const auto bound = gossip_.bind();
    if (!bound.ok()) return unavailable(bound.error().message);
    const auto control = control_.open();
    if (!control.ok()) return unavailable(control.error().message);
    if (config_.rpc.bind) {
      rpc_ = std::make_unique<RpcServer>(loop_, config_, log_, gossip_, rpc_role());
      const auto rpc = rpc_->open();
      if (!rpc.ok()) return unavailable(rpc.error().message);
    }
    const auto workers = workers_.open();
    if (!workers.ok()) return unavailable(workers.error().message);
    loop_.at_end_of_turn([this] { settle(); });
    gossip_.find_address([this] { start(); });
    loop_.run();
    reactor::ignore_signals(kSignals);
    workers_.end_all();
    control_.close();
    rpc_.reset();
    gossip_.close();
    gossip_.log_refused();
    log_.info("stopped", {{"exit_code", exit_code_}});
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

  [[nodiscard]] std::uint16_t service_port() const {
    return config_.task.advertise_port.value_or(service_.bound().port);
  }

  void start() {
    if (supervisor_.state() != task::Supervisor::State::kIdle) return;  // Stopped before it began.
    log_.info("task started", {{"node", config_.node.name},
                               {"listen", to_text(service_.bound())},
                               {"port", service_port()},
                               {"pool", config_.task.backend}});
    gossip_.start(tags("starting"));
    drive_supervisor([this](Instant now) { supervisor_.start(now, supervisor_out_); });
  }

  /// The own tags in this state, with the operator's wish.
  Tags tags(std::string_view state) {
    state_tag_ = state;
    Tags all = tags_of(gossip_.operator_tags(), "task", state);
    if (wish_ != announce::Wish::kNone) all.emplace_back(announce::kWishTag, announce::to_text(wish_));
    return all;
  }

  /// What an operator wants, from whichever member. Empty when it is done, else why not.
  std::string steer(const announce::Steering& wanted, std::string_view from) {
    if (is_stopping()) return "the task is stopping";
    if (wanted.stop) {
      log_.info("an operator wants this task to stop", {{"asked_by", from}});
      drive_supervisor([this](Instant now) { supervisor_.on_stop_signal(now, false, supervisor_out_); });
      return {};
    }
    if (wanted.wish == wish_) return {};
    wish_ = wanted.wish;
    if (wish_ == announce::Wish::kNone) {
      log_.info("an operator's wish is undone", {{"asked_by", from}});
    } else {
      log_.warn("an operator wants this task out of rotation; `shoal ready` undoes it",
                {{"wish", announce::to_text(wish_)}, {"asked_by", from}});
    }
    gossip_.set_tags(tags(state_tag_));
    return {};
  }

  void on_steer(std::uint64_t ref, const serf::QueryEvent& query) {
    const auto wanted = announce::decode_steering(query.payload.view());
    announce::SteeringAnswer answer;
    // Gossip may not have told us of the asker yet: it asks again.
    if (gossip_.node().members().get(query.source.view()) == nullptr) return;
    if (!wanted) {
      static_cast<void>(answer.reason_text.assign("the wish cannot be read; is the asker a shoal of another version?"));
    } else {
      const std::string wrong = steer(*wanted, query.source.view());
      answer.accepted = wrong.empty();
      answer.reason_text.assign_cut(wrong);
    }
    std::array<std::uint8_t, announce::kPayloadBytesMax> memory;
    gossip_.answer(ref, announce::encode(answer, memory));
  }

  RpcServer::Role rpc_role() {
    return {.tags_changed =
                [this] {
                  if (!is_stopping()) gossip_.set_tags(tags(state_tag_));
                },
            .stop =
                [this] {
                  if (is_stopping()) return std::string();  // Asked again, it must not be in more of a hurry.
                  drive_supervisor([this](Instant now) { supervisor_.on_stop_signal(now, false, supervisor_out_); });
                  return std::string();
                }};
  }

  void on_signal(int signal) {
    switch (signal) {
      case SIGTERM:
      case SIGINT:
      case SIGQUIT:
        return drive_supervisor(
            [&](Instant now) { supervisor_.on_stop_signal(now, signal == SIGQUIT, supervisor_out_); });
      case SIGHUP:
        service_manager_.reload_begins();  // Ends in `settle`.
        if (!config_.gossip.keyring_file.empty()) gossip_.reload_keys();
        return drive_supervisor([&](Instant now) {
          if (config_.worker.on_hup == config::OnHup::kRenew) return supervisor_.renew(now, supervisor_out_);
          supervisor_.on_forward_signal(now, SIGHUP, supervisor_out_);
        });
      default:
        return drive_supervisor([&](Instant now) { supervisor_.on_forward_signal(now, signal, supervisor_out_); });
    }
  }

  // WorkerHandler
  void on_worker_started(std::uint32_t generation, pid_t) override {
    drive_supervisor([&](Instant now) { supervisor_.on_worker_started(now, generation, supervisor_out_); });
  }

  void on_worker_not_started(std::uint32_t generation, int exit_code) override {
    drive_supervisor([&](Instant now) { supervisor_.on_worker_failed(now, generation, exit_code, supervisor_out_); });
  }

  void on_worker_ready(std::uint32_t generation, task::ReadyBy by) override {
    log_.info("worker accepts", {{"by", task::to_text(by)}, {"generation", generation}});
    drive_supervisor([&](Instant now) { supervisor_.on_worker_ready(now, generation, supervisor_out_); });
  }

  void on_worker_exit(std::uint32_t generation, const reactor::ExitStatus& status) override {
    const task::WorkerExit exit{status.by_signal(), status.by_signal() ? status.signal : status.code};
    drive_supervisor([&](Instant now) { supervisor_.on_worker_exit(now, generation, exit, supervisor_out_); });
  }

  void on_worker_gone(std::uint32_t generation) override {
    drive_supervisor([&](Instant now) { supervisor_.on_worker_gone(now, generation, supervisor_out_); });
  }

  // WorkerWatchHandler
  // The watch is in the middle of something: told to the supervisor at the end of the turn.
  void on_unhealthy() override { health_news_ = {supervisor_.generation(), false}; }
  void on_healthy() override { health_news_ = {supervisor_.generation(), true}; }
  void on_weight() override {
    if (supervisor_.is_serving()) announce_ready();
  }

  // The supervisor's effects wait in line: carrying one out may be an input again (a worker that cannot be started).
  template <typename F>
  void drive_supervisor(F&& f) {
    f(loop_.now());
    for (const task::SupervisorEffect& effect : supervisor_out_) {
      SHOAL_ASSERT(!effects_.full());
      effects_.push(effect);
    }
    supervisor_out_.clear();
    supervisor_timer_.at(supervisor_.next_deadline());
    // Before the effects: an announcement of a new worker has the weight that it begins with.
    watch_.follow(supervisor_.has_ready_worker() ? supervisor_.generation() : 0);
    if (std::exchange(carrying_out_, true)) return;
    while (!effects_.empty()) carry_out(effects_.pop());
    carrying_out_ = false;
    tell_state();
  }

  void carry_out(const task::SupervisorEffect& effect) {
    if (const auto* spawn = std::get_if<task::SpawnWorker>(&effect)) {
      workers_.start(spawn->generation, service_, gossip_.advertise().addr);
    } else if (std::holds_alternative<task::CloseListener>(effect)) {
      workers_.stop_watching();
      watch_.close();
      service_.stop_serving();
    } else if (const auto* signal = std::get_if<task::SignalWorker>(&effect)) {
      workers_.signal(signal->generation, signal->signal, signal->whole_group);
    } else if (std::holds_alternative<task::AnnounceReady>(effect)) {
      announce_ready();
    } else if (std::holds_alternative<task::SayUnready>(effect)) {
      drive_announcer([this](Instant now) { announcer_.set_unready(now, announcer_out_); });
    } else if (const auto* withdraw = std::get_if<task::Withdraw>(&effect)) {
      depart(withdraw->timeout, true);
    } else if (const auto* depart_for_good = std::get_if<task::Depart>(&effect)) {
      workers_.stop_watching();
      depart(depart_for_good->timeout, false);
    } else if (std::holds_alternative<task::StartLeave>(effect)) {
      if (gossip_.started()) gossip_.leave();
    } else if (const auto* exit = std::get_if<task::Exit>(&effect)) {
      exit_code_ = exit->code;
      loop_.stop();
    } else if (const auto* note = std::get_if<task::Note>(&effect)) {
      stop_requested_ = stop_requested_ || note->kind == task::Note::Kind::kStopRequested;
      if (is_stopping()) service_manager_.stopping();
      const announce::Announcer::InFlight left = announcer_.in_flight();
      log_note(log_, *note,
               {.stopping = stop_requested_,
                .advice = service_.advice(),
                .port = service_.bound().port,
                .taken_by_others = workers_.taken_by_others(),
                .in_flight = left.requests,
                .sidecars_silent = left.sidecars_silent});
    }
  }

  TaskView::Source view_source() {
    return {[this] { return view_facts(); }, [this](Instant now, admin::TaskStatus& out) { fill_status(now, out); },
            [this](Instant since) {
              drive_announcer([&](Instant now) { announcer_.confirm(now, since, announcer_out_); });
            }};
  }

  [[nodiscard]] TaskView::Facts view_facts() const {
    return {worker_phase_of(supervisor_.state(), workers_.any_runs()), stop_requested_};
  }

  void fill_status(Instant now, admin::TaskStatus& out) const {
    out.state = to_text(supervisor_.state());
    workers_.fill_status(now, supervisor_.generation(), supervisor_.has_ready_worker(), out);
    out.restarts = supervisor_.restarts();
    out.listen = to_text(service_.bound()).view();
    out.port = service_port();
    out.pool = config_.task.backend;
    out.weight = watch_.weight();
    out.wish = announce::to_text(wish_);
    if (const auto queue = reactor::accept_queue(service_.listener()))
      out.accept_queue = {queue->depth, queue->limit, std::max(queue->depth, watch_.queue().depth_max)};
  }

  void announce_ready() {
    service_manager_.ready();
    announce::Announcement what;
    what.port = service_port();
    SHOAL_ASSERT(what.pool.assign(config_.task.backend));
    what.weight = watch_.weight();
    drive_announcer([&](Instant now) { announcer_.set_ready(now, what, announcer_out_); });
  }

  // Depart, not "unready", for a while too where nobody serves: the sidecar acts on it at once, without a look at our
  // listener, which still takes connections.
  void depart(Duration timeout, bool returns) {
    drained_ = false;  // What was found out about an earlier one says nothing of this.
    drive_announcer([&](Instant now) { announcer_.depart(now, timeout, announcer_out_, returns); });
  }

  [[nodiscard]] bool is_stopping() const { return supervisor_.state() >= task::Supervisor::State::kDraining; }

  /// The tag that everybody sees. What it said last stays when a stop begins: the leave says the rest.
  void tell_state() {
    if (is_stopping() || !gossip_.started()) return;
    const std::string_view state = word_of(supervisor_.state());
    if (state != state_tag_) gossip_.set_tags(tags(state));
  }

  template <typename F>
  void drive_announcer(F&& f) {
    f(loop_.now());
    for (const announce::AnnouncerEffect& effect : announcer_out_.effects()) carry_out(effect);
    announcer_out_.clear();
    announcer_timer_.at(announcer_.next_deadline());
  }

  void carry_out(const announce::AnnouncerEffect& effect) {
    if (const auto* query = std::get_if<announce::SendQuery>(&effect)) {
      gossip_.ask(
          {query->token, query->route, query->to, query->sidecar.view(), query->query, query->payload, query->timeout});
    } else if (const auto* answer = std::get_if<announce::AnswerSolicit>(&effect)) {
      gossip_.answer(answer->query_ref, answer->payload);
    } else if (const auto* accepted = std::get_if<announce::Accepted>(&effect)) {
      log_.info("accepted", {{"sidecar", accepted->sidecar},
                             {"server", accepted->server},
                             {"proxies_up", accepted->proxies_up},
                             {"proxies_total", accepted->proxies_total}});
    } else if (const auto* pending = std::get_if<announce::Pending>(&effect)) {
      log_.info("not in rotation yet", {{"sidecar", pending->sidecar}, {"reason", pending->text}});
    } else if (const auto* refused = std::get_if<announce::Refused>(&effect)) {
      log_.warn("refused", {{"sidecar", refused->sidecar},
                            {"reason", refused->text},
                            {"needs_a_fix", refused->reason == announce::Reason::kFix},
                            {"next_try_ms", refused->next_try_in}});
    } else if (const auto* departed = std::get_if<announce::Departed>(&effect)) {
      log_.info("out of rotation", {{"sidecar", departed->sidecar}, {"in_flight", departed->in_flight}});
    } else if (const auto* drained = std::get_if<announce::Drained>(&effect)) {
      log_.info("sidecar confirms the drain", {{"sidecar", drained->sidecar}});
    } else if (const auto* not_drained = std::get_if<announce::NotDrained>(&effect)) {
      log_.info("sidecar no longer counts for the drain", {{"sidecar", not_drained->sidecar}});
    } else if (const auto* all = std::get_if<announce::AllDrained>(&effect)) {
      drained_ = true;
      drained_confirmed_ = all->confirmed;
    } else if (std::holds_alternative<announce::NoSidecar>(effect)) {
      log_.warn("no sidecar is known: nobody will send requests until one appears");
    } else if (const auto* none = std::get_if<announce::NoAnswer>(&effect)) {
      log_.warn(
          "a sidecar does not answer; asked again for ever: is its gossip port open for UDP and TCP, its "
          "gossip.advertise an address that this host reaches, and this one's (own_addr) one that it reaches?",
          {{"sidecar", none->sidecar}, {"addr", to_text(none->to)}, {"own_addr", to_text(gossip_.advertise())}});
    } else if (const auto* full = std::get_if<announce::SidecarTableFull>(&effect)) {
      log_.warn("too many sidecars; this one is not announced to", {{"sidecar", full->sidecar}});
    }
  }

  void take_health(Instant now, bool healthy) {
    if (healthy) return supervisor_.on_healthy(now, supervisor_out_);
    if (config_.worker.health_action == config::HealthAction::kWithdraw) {
      return supervisor_.on_unhealthy(now, supervisor_out_);
    }
    supervisor_.restart_worker(now, supervisor_out_);
  }

  /// At the end of each turn: what the announcer found out, told to the supervisor.
  void settle() {
    service_manager_.status(view_.take_line());
    if (!supervisor_.is_renewing()) service_manager_.reload_ends();
    const HealthNews news = std::exchange(health_news_, {});
    if (news.generation != 0 && news.generation == supervisor_.generation()) {
      drive_supervisor([&](Instant now) { take_health(now, news.healthy); });
    }
    const bool is_aside = announcer_.sidecars_accepted() == announcer_.sidecars_here();
    if (supervisor_.waits_to_be_aside() && is_aside) {
      drive_supervisor([this](Instant now) { supervisor_.on_aside(now, supervisor_out_); });
    }
    if (!std::exchange(drained_, false)) return;
    drive_supervisor([this](Instant now) { supervisor_.on_drained(now, drained_confirmed_, supervisor_out_); });
  }

  // GossipHandler
  void on_member(serf::MemberEventKind kind, std::string_view name, const serf::Member* member) override {
    const std::string_view role = member == nullptr ? "" : wire::tag_value(member->meta(), "role");
    log_.debug("member", {{"change", serf::to_text(kind)}, {"node", name}, {"role", role}});
    const bool reaped = member == nullptr;
    if (name == gossip_.node().name() || (!reaped && role != "sidecar")) return;
    const announce::MemberStatus status = status_of(kind, member);
    const Endpoint where = reaped ? Endpoint{} : member->endpoint();
    const bool is_shoal = !reaped && !wire::tag_value(member->meta(), kShoalTag).empty();
    drive_announcer([&](Instant now) { announcer_.on_sidecar(now, name, where, status, is_shoal, announcer_out_); });
  }

  void on_query(std::uint64_t ref, const serf::QueryEvent& query) override {
    if (query.name == announce::kSteerQuery) return on_steer(ref, query);
    if (query.name != announce::kSolicitQuery) return;
    drive_announcer([&](Instant now) {
      announcer_.on_solicit(now, ref, query.source.view(), query.payload.view(), announcer_out_);
    });
  }

  void on_response(std::uint64_t token, std::string_view from, Bytes payload) override {
    if (control_.on_response(token, from, payload)) return;
    drive_announcer([&](Instant now) { announcer_.on_response(now, token, from, payload, announcer_out_); });
  }

  void on_ask_failed(std::uint64_t token) override {
    drive_announcer([&](Instant now) { announcer_.on_send_failed(now, token, announcer_out_); });
  }

  void on_renamed() override {
    drive_announcer([this](Instant now) { announcer_.repeat(now, announcer_out_); });
  }

  void on_left() override {
    drive_supervisor([this](Instant now) { supervisor_.on_left(now, supervisor_out_); });
  }

  const config::Config& config_;
  ProcessLog process_log_;
  Log& log_;
  Rng rng_;
  reactor::Loop loop_;
  WorkerProcesses workers_;
  WorkerWatch watch_;
  reactor::Signals signals_;
  ServiceSocket service_;
  GossipDriver gossip_;
  TaskView view_;
  ServiceManager service_manager_;
  GossipControl control_;
  std::unique_ptr<RpcServer> rpc_;  // None unless it is asked for.
  task::Supervisor supervisor_;
  task::SupervisorOutbox supervisor_out_;
  Ring<task::SupervisorEffect> effects_{2 * task::SupervisorOutbox::kEffectsMax};
  announce::Announcer announcer_;
  announce::AnnouncerOutbox announcer_out_;
  reactor::Timer supervisor_timer_;
  reactor::Timer announcer_timer_;
  announce::Wish wish_ = announce::Wish::kNone;
  std::string_view state_tag_ = "starting";
  struct HealthNews {
    std::uint32_t generation = 0;  // 0 = none.
    bool healthy = true;
  } health_news_;
  bool carrying_out_ = false;
  bool drained_ = false;
  bool drained_confirmed_ = false;
  bool stop_requested_ = false;
  int exit_code_ = kExitOk;
};

}  // namespace

int run_task(const config::Config& config) {
  reactor::ignore_sigpipe();
  return std::make_unique<TaskApp>(config)->run();
}

}  // namespace shoal::app
