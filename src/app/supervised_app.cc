#include "app/supervised_app.h"

#include <unistd.h>

#include <csignal>
#include <memory>
#include <utility>

#include "app/haproxy_look.h"
#include "app/process.h"
#include "app/proxy_process.h"
#include "app/service_manager.h"
#include "base/rng.h"
#include "keeper/keeper.h"
#include "reactor/process.h"
#include "reactor/process_info.h"
#include "reactor/reaper.h"
#include "reactor/signals.h"
#include "task/worker_env.h"

namespace shoal::app {
namespace {

// HAProxy's own signals too: its images stop it with SIGUSR1, and tools reload it with SIGUSR2.
constexpr std::initializer_list<int> kSignals = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
constexpr pid_t kInit = 1;
constexpr Duration kSweepMost = 500ms;
constexpr reactor::Loop::Options kSmallLoop = {.watches_max = 16, .posts_max = 32, .hooks_max = 4};

keeper::Keeper::Options keeper_options(const config::Config& config) {
  return {.drain_timeout = config.task.drain_timeout, .stop_timeout = config.task.stop_timeout};
}

class SupervisedApp {
 public:
  SupervisedApp(const config::Config& config, const std::vector<std::string>& arguments)
      : config_(config),
        arguments_(arguments),
        process_log_(config.log),
        log_(process_log_.log()),
        loop_(kSmallLoop),
        service_manager_(loop_, log_),
        reaper_(loop_, [this](pid_t pid, const reactor::ExitStatus& status) { on_child_exit(pid, status); }),
        signals_(loop_, kSignals, [this](int signal, int) { on_signal(signal); }),
        look_(loop_, config.haproxy.sockets[0],
              [this](HaproxyLook::Answer answer, pid_t pid) { on_look(answer, pid); }),
        proxy_(loop_, config.haproxy.sockets[0].text,
               [this](int status) { drive([&](Instant now) { keeper_.on_proxy_exit(now, {status}, out_); }); }),
        keeper_(keeper_options(config), Rng(reactor::entropy_u64()), loop_.now()),
        timer_(loop_, [this] { drive([this](Instant now) { keeper_.on_deadline(now, out_); }); }) {}

  int run() {
    if (::getpid() != kInit) {
      // Else workers of HAProxy that lose their master would leave our sight.
      if (const auto done = reactor::become_subreaper(); !done.ok()) log_.warn(done.error().message);
    }
    log_.info("supervising HAProxy",
              {{"command", config_.haproxy.command[0]}, {"socket", config_.haproxy.sockets[0].text}});
    drive([this](Instant now) { keeper_.start(now, out_); });
    loop_.run();
    reactor::ignore_signals(kSignals);
    if (!reactor::end_all_children(kSweepMost)) log_.error("some processes outlived SIGKILL");
    log_.info("supervision ended", {{"exit_code", exit_code_}});
    return exit_code_;
  }

 private:
  void on_signal(int signal) {
    if (signal == SIGHUP || signal == SIGUSR2) {
      log_.info("reload requested", {{"signal", signal}});
      return service_manager_.reload([this] { drive([this](Instant now) { keeper_.on_reload_signal(now, out_); }); });
    }
    drive([&](Instant now) { keeper_.on_stop_signal(now, signal == SIGQUIT, out_); });
  }

  void on_child_exit(pid_t pid, const reactor::ExitStatus& status) {
    if (proxy_.on_child_exit(pid, status) || pid != sidecar_) return;
    sidecar_ = 0;
    drive([&](Instant now) { keeper_.on_sidecar_exit(now, {status.shell_code()}, out_); });
  }

  void on_look(HaproxyLook::Answer answer, pid_t pid) {
    keeper::Looked looked = keeper::Looked::kForeign;
    switch (answer) {
      case HaproxyLook::Answer::kNobody: looked = keeper::Looked::kNobody; break;
      case HaproxyLook::Answer::kSilent: looked = keeper::Looked::kSilent; break;
      case HaproxyLook::Answer::kHaproxy:
        answering_ = pid;
        if (proxy_.pid() != 0) {
          looked = keeper::Looked::kOurs;
          check_lead(pid);
        } else if (keeper_.would_adopt() && proxy_.adopt(pid)) {
          looked = keeper::Looked::kOurs;
        }
        break;
    }
    drive([&](Instant now) { keeper_.on_looked(now, looked, out_); });
  }

  void check_lead(pid_t answering) {
    if (proxy_.leads_to(answering)) return;
    log_.warn(
        "the process that was started is not the HAProxy that answers, so a stop and a reload do not reach it; "
        "in a script, start it with exec",
        {{"pid", proxy_.pid()}, {"answering", answering}});
  }

  void start_proxy() {
    const std::vector<std::string>& command = config_.haproxy.command;
    const auto started = proxy_.start(command, task::inherited_environment(reactor::environment()));
    if (!started.ok()) {
      const int code = reactor::exec_exit_code(started.error());
      log_.error("HAProxy cannot be started; is haproxy.command right?",
                 {{"command", command[0]}, {"reason", started.error().message}, {"exit_code", code}});
      return drive([&](Instant now) { keeper_.on_proxy_failed(now, code, out_); });
    }
    log_.info("HAProxy started", {{"pid", started.value()}, {"command", command[0]}});
    drive([this](Instant now) { keeper_.on_proxy_started(now, out_); });
  }

  /// What a service manager wants of the process that it has started: this one.
  static bool is_for_service(std::string_view variable) {
    return variable.substr(0, 14) == "NOTIFY_SOCKET=" || variable.substr(0, 9) == "WATCHDOG_";
  }

  // The same program once more, executed and not only forked: so it begins without our loop, descriptors and signal
  // mask, with memory reserved as in any sidecar, a node name of its own, and the settings as they are now.
  void start_sidecar() {
    reactor::SpawnOptions options;
    options.program = reactor::own_program();
    options.argv = {"shoal", kSupervisedMark};
    options.argv.insert(options.argv.end(), arguments_.begin(), arguments_.end());
    for (const std::string_view variable : reactor::environment()) {
      if (!is_for_service(variable)) options.env.emplace_back(variable);
    }
    options.blocked_signal = SIGHUP;  // A reload in its first milliseconds waits until it takes signals.
    const auto started = reactor::spawn(options);
    if (!started.ok()) {
      const int code = reactor::exec_exit_code(started.error());
      log_.error("the sidecar cannot be started", {{"reason", started.error().message}, {"exit_code", code}});
      return drive([&](Instant now) { keeper_.on_sidecar_failed(now, code, out_); });
    }
    sidecar_ = started.value();
    log_.info("sidecar process started", {{"pid", sidecar_}});
    drive([this](Instant now) { keeper_.on_sidecar_started(now, out_); });
  }

  // The keeper's effects wait in line: carrying one out may be an input again (a program that cannot be started).
  template <typename F>
  void drive(F&& f) {
    f(loop_.now());
    for (const keeper::KeeperEffect& effect : out_) {
      SHOAL_ASSERT(!effects_.full());
      effects_.push(effect);
    }
    out_.clear();
    timer_.at(keeper_.next_deadline());
    if (std::exchange(carrying_out_, true)) return;
    while (!effects_.empty()) carry_out(effects_.pop());
    carrying_out_ = false;
  }

  void carry_out(const keeper::KeeperEffect& effect) {
    if (std::holds_alternative<keeper::Look>(effect)) {
      look_.start();
    } else if (std::holds_alternative<keeper::StartProxy>(effect)) {
      start_proxy();
    } else if (std::holds_alternative<keeper::StartSidecar>(effect)) {
      start_sidecar();
    } else if (const auto* to_proxy = std::get_if<keeper::SignalProxy>(&effect)) {
      proxy_.signal(to_proxy->signal);
    } else if (const auto* to_sidecar = std::get_if<keeper::SignalSidecar>(&effect)) {
      // Until it is waited for here, its pid cannot be another's.
      if (sidecar_ != 0) static_cast<void>(reactor::signal_process(sidecar_, to_sidecar->signal));
    } else if (std::holds_alternative<keeper::ReloadProxy>(effect)) {
      if (proxy_.reload()) {
        log_.info("HAProxy is told to reload", {{"pid", proxy_.pid()}});
      } else {
        log_.warn("HAProxy is not reloaded: it has no master process; write -W in haproxy.command",
                  {{"pid", proxy_.pid()}});
      }
    } else if (std::holds_alternative<keeper::RetireProxyGroup>(effect)) {
      proxy_.retire_group();
    } else if (const auto* exit = std::get_if<keeper::Exit>(&effect)) {
      exit_code_ = exit->code;
      loop_.stop();
    } else if (const auto* happened = std::get_if<keeper::Note>(&effect)) {
      note(*happened);
    }
  }

  void note(const keeper::Note& n) {
    using Kind = keeper::Note::Kind;
    const auto pid = static_cast<std::int64_t>(answering_);
    tell_service(n.kind);
    switch (n.kind) {
      case Kind::kProxyUp: return log_.info("HAProxy is up", {{"pid", pid}, {"elapsed_ms", n.elapsed}});
      case Kind::kProxyAdopted:
        return log_.info("a HAProxy that an earlier shoal started is adopted", {{"pid", proxy_.pid()}});
      case Kind::kProxyForeign:
        return log_.warn("a HAProxy answers that shoal did not start: it is used, and neither stopped nor reloaded",
                         {{"pid", pid}});
      case Kind::kSocketSilent:
        return log_.warn("the socket is held and no HAProxy answers: none is started beside it; tried again for ever",
                         {{"socket", config_.haproxy.sockets[0].text}});
      case Kind::kProxyNotAnswering:
        return log_.warn("HAProxy runs and does not answer: does its `stats socket` stand in haproxy.socket?",
                         {{"socket", config_.haproxy.sockets[0].text}, {"elapsed_ms", n.elapsed}});
      case Kind::kProxyExited: return ended("HAProxy ended", n);
      case Kind::kProxyFailedAtStart:
        return log_.error("HAProxy ended before it was up; its own words stand above", {{"status", n.number}});
      case Kind::kProxyNotStarted: return;  // Said with its reason in start_proxy.
      case Kind::kProxyInBackground:
        return log_.error("HAProxy ended with status 0 and nobody answers; it must stay in the foreground (-db)",
                          {{"socket", config_.haproxy.sockets[0].text}});
      case Kind::kProxyRetry: return log_.info("HAProxy is started again", {{"in_ms", n.elapsed}});
      case Kind::kForeignGone: return log_.warn("the HAProxy that shoal did not start has gone; one is started");
      case Kind::kReloadNotOurs: return log_.warn("HAProxy is not reloaded: shoal did not start it", {{"pid", pid}});
      case Kind::kSidecarExited: return ended("the sidecar ended", n);
      case Kind::kSidecarNotStarted: return;  // Said with its reason in start_sidecar.
      case Kind::kSidecarRetry: return log_.info("the sidecar is started again", {{"in_ms", n.elapsed}});
      case Kind::kStopRequested:
        stopping_ = true;
        return log_.info("stop of HAProxy requested", {{"fast", n.number != 0}, {"elapsed_ms", n.elapsed}});
      case Kind::kForeignLeft: return log_.info("HAProxy goes on: shoal did not start it", {{"pid", pid}});
      case Kind::kProxyGone: return log_.info("HAProxy stopped", {{"status", n.number}, {"elapsed_ms", n.elapsed}});
      case Kind::kProxyCutShort:
        return log_.warn("HAProxy still has requests at the end of the stop's budget; they are cut",
                         {{"elapsed_ms", n.elapsed}});
      case Kind::kProxyKilled: return log_.warn("HAProxy did not stop in time; killed", {{"elapsed_ms", n.elapsed}});
      case Kind::kSidecarKilled:
        return log_.warn("the sidecar did not stop in time; killed", {{"elapsed_ms", n.elapsed}});
      case Kind::kAbandoned:
        return log_.error("the stop's budget is over; processes are left", {{"elapsed_ms", n.elapsed}});
      case Kind::kUnexpected: return log_.error("bug: an event that this state rules out", {{"state_event", n.number}});
    }
  }

  /// Ready once a HAProxy serves: one that cannot even be started ends the parent.
  void tell_service(keeper::Note::Kind kind) {
    using Kind = keeper::Note::Kind;
    const bool is_up = kind == Kind::kProxyUp || kind == Kind::kProxyAdopted || kind == Kind::kProxyForeign;
    if (is_up) service_manager_.status("HAProxy is up");
    if (is_up) service_manager_.ready();
    if (kind == Kind::kProxyExited || kind == Kind::kForeignGone) service_manager_.status("HAProxy has ended");
    if (kind == Kind::kStopRequested) service_manager_.status("stopping HAProxy");
    if (kind == Kind::kStopRequested) service_manager_.stopping();
  }

  void ended(std::string_view words, const keeper::Note& n) {
    log_.write(stopping_ ? LogLevel::kInfo : LogLevel::kError, words, {{"status", n.number}, {"up_ms", n.elapsed}});
  }

  const config::Config& config_;
  const std::vector<std::string>& arguments_;
  ProcessLog process_log_;
  Log& log_;
  reactor::Loop loop_;
  ServiceManager service_manager_;
  reactor::Reaper reaper_;
  reactor::Signals signals_;
  HaproxyLook look_;
  ProxyProcess proxy_;
  keeper::Keeper keeper_;
  keeper::KeeperOutbox out_;
  Ring<keeper::KeeperEffect> effects_{2 * keeper::KeeperOutbox::kEffectsMax};
  reactor::Timer timer_;
  pid_t sidecar_ = 0;
  pid_t answering_ = 0;  // Who answered the last look.
  bool carrying_out_ = false;
  bool stopping_ = false;
  int exit_code_ = kExitOk;
};

}  // namespace

int run_supervised(const config::Config& config, const std::vector<std::string>& arguments) {
  reactor::ignore_sigpipe();
  return std::make_unique<SupervisedApp>(config, arguments)->run();
}

}  // namespace shoal::app
