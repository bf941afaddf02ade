#include "app/task_app.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <utility>

#include "announce/announcer.h"
#include "app/gossip_control.h"
#include "app/gossip_driver.h"
#include "app/process.h"
#include "app/ready_probe.h"
#include "app/service_manager.h"
#include "app/task_view.h"
#include "config/cli.h"
#include "config/placeholders.h"
#include "reactor/listener.h"
#include "reactor/notify_socket.h"
#include "reactor/process.h"
#include "reactor/reaper.h"
#include "reactor/signals.h"
#include "task/supervisor.h"
#include "task/worker_env.h"

namespace shoal::app {
namespace {

constexpr int kListenBacklog = 1024;
constexpr std::initializer_list<int> kSignals = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH};

task::Supervisor::Options supervisor_options(const config::Config& config) {
  task::Supervisor::Options options;
  options.drain_timeout = config.task.drain_timeout;
  options.stop_timeout = config.task.stop_timeout;
  options.ready_timeout = config.worker.ready_timeout;
  options.stop_signal = config.worker.stop_signal;
  return options;
}

task::Readiness::Options readiness_options(const config::Config& config) {
  task::Readiness::Options options;
  options.mode = config.worker.ready == config::Ready::kNotify ? task::ReadyMode::kNotify : task::ReadyMode::kAuto;
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

class TaskApp final : private GossipHandler {
 public:
  explicit TaskApp(const config::Config& config)
      : config_(config),
        process_log_(config.log),
        log_(process_log_.log()),
        rng_(reactor::entropy_u64()),
        reaper_(loop_, [this](pid_t pid, const reactor::ExitStatus& status) { on_child_exit(pid, status); }),
        signals_(loop_, kSignals, [this](int signal, int) { on_signal(signal); }),
        gossip_(loop_, config, log_, *this),
        view_(announcer_, config.health.min_proxies, view_source()),
        service_manager_(loop_, log_),
        control_(loop_, config, log_, gossip_, view_,
                 [this](const announce::Steering& wish) { return steer(wish, config_.node.name); }),
        supervisor_(supervisor_options(config), loop_.now()),
        ready_probe_(loop_, readiness_options(config), rng_.fork(), [this](task::ReadyBy by) { on_ready(by); }),
        notify_(loop_, [this](const reactor::Notification& n) { on_notification(n); }),
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
    auto listener = reactor::listen_service(config_.task.listen, kListenBacklog);
    if (!listener.ok()) return unavailable("task.listen: " + listener.error().message);
    listener_ = std::move(listener.value());
    const auto bound = gossip_.bind();
    if (!bound.ok()) return unavailable(bound.error().message);
    const auto control = control_.open();
    if (!control.ok()) return unavailable(control.error().message);
    const auto notify = notify_.open();
    if (!notify.ok()) return unavailable("cannot open a notify socket: " + notify.error().message);
    loop_.at_end_of_turn([this] { settle(); });
    gossip_.find_address([this] { start(); });
    loop_.run();
    reactor::ignore_signals(kSignals);
    control_.close();
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
    return config_.task.advertise_port.value_or(listener_.bound.port);
  }

  void start() {
    if (supervisor_.state() != task::Supervisor::State::kIdle) return;  // Stopped before it began.
    log_.info("task started", {{"node", config_.node.name},
                               {"listen", to_text(listener_.bound)},
                               {"port", service_port()},
                               {"pool", config_.task.backend}});
    gossip_.start(tags("starting"));
    drive_supervisor([this](Instant now) { supervisor_.start(now, supervisor_out_); });
  }

  /// The own tags in this state, with the operator's wish.
  Tags tags(std::string_view state) {
    state_tag_ = state;
    Tags all = tags_of(config_, "task", state);
    if (wish_ != announce::Wish::kNone) all.emplace_back(announce::kWishTag, announce::to_text(wish_));
    return all;
  }

  /// What an operator wants, from whichever member. Empty when it is done, else why not.
  std::string steer(const announce::Steering& wanted, std::string_view from) {
    if (stopping_) return "the task is stopping";
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

  void on_signal(int signal) {
    switch (signal) {
      case SIGTERM:
      case SIGINT:
      case SIGQUIT:
        return drive_supervisor(
            [&](Instant now) { supervisor_.on_stop_signal(now, signal == SIGQUIT, supervisor_out_); });
      case SIGHUP: return service_manager_.reload([this] { gossip_.reload_keys(); });
      default:
        return drive_supervisor([&](Instant now) { supervisor_.on_forward_signal(now, signal, supervisor_out_); });
    }
  }

  void on_child_exit(pid_t pid, const reactor::ExitStatus& status) {
    if (pid != worker_) return;  // An orphan that was adopted.
    worker_ = 0;
    ready_probe_.stop();
    const task::WorkerExit exit{status.by_signal(), status.by_signal() ? status.signal : status.code};
    drive_supervisor([&](Instant now) { supervisor_.on_worker_exit(now, exit, supervisor_out_); });
  }

  void on_ready(task::ReadyBy by) {
    log_.info("worker accepts", {{"by", task::to_text(by)}});
    drive_supervisor([this](Instant now) { supervisor_.on_worker_ready(now, supervisor_out_); });
  }

  void on_notification(const reactor::Notification& notification) {
    // Anybody in the network namespace can send; only the worker and its group are believed.
    const pid_t sender = notification.sender_pid;
    if (worker_ == 0 || sender <= 0 || (sender != worker_ && getpgid(sender) != worker_)) return;
    if (notification.ready) ready_probe_.notify_ready();
  }

  void spawn_worker() {
    const AddressText addr = to_text(gossip_.advertise().addr);
    const config::PlaceholderValues values{addr.view(), listener_.bound.port, task::kListenerFd};
    task::WorkerSurroundings around;
    around.addr = gossip_.advertise().addr;
    around.port = listener_.bound.port;
    around.notify_socket = notify_.name();
    std::size_t variables = 0;
    while (environ[variables] != nullptr) ++variables;
    around.parent_environment = {environ, variables};
    reactor::SpawnOptions options;
    for (const std::string& word : config_.worker.command) {
      options.argv.push_back(config::fill_placeholders(word, values));
    }
    options.env = task::worker_environment(around);
    options.pass_fd = listener_.fd.get();
    const auto spawned = reactor::spawn(options);
    if (!spawned.ok()) {
      const int code = reactor::exec_exit_code(spawned.error());
      log_.error(
          "the worker cannot be started; is worker.command right?",
          {{"command", options.argv[0]}, {"reason", std::string_view(spawned.error().message)}, {"exit_code", code}});
      return drive_supervisor([&](Instant now) { supervisor_.on_worker_failed(now, code, supervisor_out_); });
    }
    worker_ = spawned.value();
    worker_since_ = loop_.now();
    log_.info("worker started", {{"pid", worker_}, {"command", options.argv[0]}});
    drive_supervisor([this](Instant now) { supervisor_.on_worker_started(now, worker_, supervisor_out_); });
    ready_probe_.worker_started(listener_.fd.get(), listener_.bound);
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
    if (std::exchange(carrying_out_, true)) return;
    while (!effects_.empty()) carry_out(effects_.pop());
    carrying_out_ = false;
  }

  void carry_out(const task::SupervisorEffect& effect) {
    if (std::holds_alternative<task::SpawnWorker>(effect)) {
      spawn_worker();
    } else if (std::holds_alternative<task::CloseListener>(effect)) {
      ready_probe_.stop();
      listener_.fd.reset();
    } else if (const auto* signal = std::get_if<task::SignalWorkerGroup>(&effect)) {
      static_cast<void>(reactor::signal_group(signal->pid, signal->signal));  // It may have died meanwhile.
    } else if (std::holds_alternative<task::AnnounceReady>(effect)) {
      announce_ready();
    } else if (const auto* depart = std::get_if<task::Depart>(&effect)) {
      ready_probe_.stop();
      drive_announcer([&](Instant now) { announcer_.depart(now, depart->timeout, announcer_out_); });
    } else if (std::holds_alternative<task::StartLeave>(effect)) {
      if (gossip_.started()) gossip_.leave();
    } else if (const auto* exit = std::get_if<task::Exit>(&effect)) {
      exit_code_ = exit->code;
      loop_.stop();
    } else if (const auto* happened = std::get_if<task::Note>(&effect)) {
      note(*happened);
    }
  }

  TaskView::Source view_source() {
    return {[this] { return view_facts(); }, [this](Instant now, admin::TaskStatus& out) { fill_status(now, out); },
            [this](Instant since) {
              drive_announcer([&](Instant now) { announcer_.confirm(now, since, announcer_out_); });
            }};
  }

  [[nodiscard]] TaskView::Facts view_facts() const {
    using State = task::Supervisor::State;
    using Phase = admin::WorkerPhase;
    switch (supervisor_.state()) {
      case State::kIdle: return {Phase::kNone, stopping_};
      case State::kSpawning:
      case State::kStarting: return {Phase::kStarting, stopping_};
      case State::kReady: return {Phase::kReady, stopping_};
      case State::kDraining:
      case State::kLeavingFirst:
      case State::kStopping:
      case State::kKilling:
      case State::kLeaving:
      case State::kDone:
      case State::kCount: return {worker_ != 0 ? Phase::kReady : Phase::kGone, stopping_};
    }
    SHOAL_UNREACHABLE();
  }

  void fill_status(Instant now, admin::TaskStatus& out) const {
    out.state = to_text(supervisor_.state());
    if (worker_ != 0) out.workers.push_back({worker_, 1, "running", to_ms(now - worker_since_)});
    out.listen = to_text(listener_.bound).view();
    out.port = service_port();
    out.pool = config_.task.backend;
    out.weight = config_.task.weight;
    out.wish = announce::to_text(wish_);
    if (const auto queue = reactor::accept_queue(listener_.fd.get())) out.accept_queue = {queue->depth, queue->limit};
  }

  void announce_ready() {
    service_manager_.ready();
    gossip_.set_tags(tags("ready"));
    announce::Announcement what;
    what.port = service_port();
    SHOAL_ASSERT(what.pool.assign(config_.task.backend));
    what.weight = static_cast<std::uint16_t>(config_.task.weight);
    drive_announcer([&](Instant now) { announcer_.set_ready(now, what, announcer_out_); });
  }

  void note(const task::Note& n) {
    using Kind = task::Note::Kind;
    const auto line = [&](LogLevel level, std::string_view words, std::string_view key = {}) {
      if (key.empty()) return log_.write(level, words, {{"elapsed_ms", n.elapsed}});
      log_.write(level, words, {{key, n.number}, {"elapsed_ms", n.elapsed}});
    };
    switch (n.kind) {
      case Kind::kWorkerReady: return line(LogLevel::kInfo, "worker ready");
      case Kind::kStopRequested:
        stopping_ = true;
        service_manager_.stopping();
        return line(LogLevel::kInfo, "stop requested", "fast");
      case Kind::kWorkerExited:
        return line(n.number != 0 && !stopping_ ? LogLevel::kWarn : LogLevel::kInfo, "worker exited", "status");
      case Kind::kWorkerNotStarted: return line(LogLevel::kError, "worker not started", "exit_code");
      case Kind::kNotReadyInTime:
        return line(LogLevel::kError, "worker was not ready within worker.ready_timeout; it is stopped");
      case Kind::kDrained: return line(LogLevel::kInfo, "drained");
      case Kind::kDrainedWithoutConfirmation:
        return line(LogLevel::kInfo, "departed; not every sidecar confirmed the drain");
      case Kind::kDrainCutShort: return line(LogLevel::kWarn, "drain cut short; requests may still be in flight");
      case Kind::kStopSignalSent: return line(LogLevel::kInfo, "worker told to stop", "signal");
      case Kind::kWorkerKilled: return line(LogLevel::kWarn, "worker did not stop in time; killed");
      case Kind::kLeft: return line(LogLevel::kInfo, "left the cluster");
      case Kind::kLeaveCutShort: return line(LogLevel::kWarn, "leave cut short; peers will find out by themselves");
      case Kind::kWorkerAbandoned: return line(LogLevel::kError, "worker survived SIGKILL until the end of the budget");
      case Kind::kUnexpected: return line(LogLevel::kError, "bug: an event that this state rules out", "state_event");
    }
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
          "a sidecar does not answer; asked again for ever: is its gossip port open for UDP and TCP, and its "
          "gossip.advertise an address that this host reaches?",
          {{"sidecar", none->sidecar}, {"addr", to_text(none->to)}});
    } else if (const auto* full = std::get_if<announce::SidecarTableFull>(&effect)) {
      log_.warn("too many sidecars; this one is not announced to", {{"sidecar", full->sidecar}});
    }
  }

  /// At the end of each turn: what the announcer found out, told to the supervisor.
  void settle() {
    service_manager_.status(view_.take_line());
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
  reactor::Reaper reaper_;
  reactor::Signals signals_;
  reactor::ServiceListener listener_;
  GossipDriver gossip_;
  TaskView view_;
  ServiceManager service_manager_;
  GossipControl control_;
  task::Supervisor supervisor_;
  task::SupervisorOutbox supervisor_out_;
  Ring<task::SupervisorEffect> effects_{2 * task::SupervisorOutbox::kEffectsMax};
  ReadyProbe ready_probe_;
  reactor::NotifySocket notify_;
  announce::Announcer announcer_;
  announce::AnnouncerOutbox announcer_out_;
  reactor::Timer supervisor_timer_;
  reactor::Timer announcer_timer_;
  pid_t worker_ = 0;
  Instant worker_since_{};
  announce::Wish wish_ = announce::Wish::kNone;
  std::string_view state_tag_ = "starting";
  bool carrying_out_ = false;
  bool drained_ = false;
  bool drained_confirmed_ = false;
  bool stopping_ = false;  // A stop was asked for.
  int exit_code_ = kExitOk;
};

}  // namespace

int run_task(const config::Config& config) {
  reactor::ignore_sigpipe();
  return std::make_unique<TaskApp>(config)->run();
}

}  // namespace shoal::app
