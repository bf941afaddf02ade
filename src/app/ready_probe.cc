#include "app/ready_probe.h"

#include <utility>

#include "reactor/worker_sockets.h"

namespace shoal::app {
namespace {

task::ReadyMode mode_of(config::Ready ready) {
  switch (ready) {
    case config::Ready::kAuto: return task::ReadyMode::kAuto;
    case config::Ready::kNotify: return task::ReadyMode::kNotify;
    case config::Ready::kHttp: return task::ReadyMode::kHttp;
    case config::Ready::kTcp: return task::ReadyMode::kTcp;
    case config::Ready::kDelay: return task::ReadyMode::kDelay;
  }
  SHOAL_UNREACHABLE();
}

task::Readiness::Options options_of(const config::Config& config) {
  task::Readiness::Options options;
  options.mode = mode_of(config.worker.ready);
  options.socket_is_passed = config.worker.socket == config::WorkerSocket::kPass;
  options.delay = config.worker.ready_delay;
  // A worker that is given little time is told of before it is over.
  options.look_after = std::min(options.look_after, config.worker.ready_timeout / 2);
  return options;
}

}  // namespace

ReadyProbe::ReadyProbe(reactor::Loop& loop, const config::Config& config, Log& log, Rng rng,
                       std::function<void(task::ReadyBy)> on_ready)
    : loop_(loop),
      config_(config),
      log_(log),
      readiness_(options_of(config), rng, loop.now()),
      on_ready_(std::move(on_ready)),
      probe_(loop, config.worker.ready_path,
             [this](WorkerProbe::Result result, int status) { on_result(result, status); }),
      timer_(loop, [this] { drive([this](Instant now) { readiness_.on_deadline(now, out_); }); }) {}

void ReadyProbe::worker_started(pid_t group, int listener_fd, const Endpoint& listener, bool beside_another) {
  group_ = group;
  listener_fd_ = listener_fd;
  listener_ = listener;
  probe_.aim(listener);
  drive([&](Instant now) { readiness_.on_worker_started(now, out_, beside_another); });
}

void ReadyProbe::notify_ready() {
  drive([this](Instant now) { readiness_.on_notify_ready(now, out_); });
}

void ReadyProbe::stop() {
  drive([this](Instant now) { readiness_.stop(now, out_); });
  probe_.end();
}

template <typename F>
void ReadyProbe::drive(F&& f) {
  f(loop_.now());
  // A reading is an input itself: taken after the effects that asked for it are carried out.
  for (bool again = true; again;) {
    bool read = false;
    bool ask_owner = false;
    bool request = false;
    bool ready = false;
    task::ReadyBy by = task::ReadyBy::kNotify;
    for (const task::ReadinessEffect& effect : out_) {
      if (std::holds_alternative<task::ProbeConnect>(effect)) {
        probe_.connect();
      } else if (std::holds_alternative<task::ProbeHttp>(effect)) {
        probe_.get();
      } else if (std::holds_alternative<task::ReadQueue>(effect)) {
        read = true;
      } else if (std::holds_alternative<task::AskOwner>(effect)) {
        ask_owner = true;
      } else if (std::holds_alternative<task::SendProbeRequest>(effect)) {
        request = true;
      } else if (std::holds_alternative<task::SendProbeByte>(effect)) {
        probe_.send_byte();
      } else if (std::holds_alternative<task::CloseProbe>(effect)) {
        probe_.end();
      } else if (const auto* told = std::get_if<task::WorkerReady>(&effect)) {
        ready = true;
        by = told->by;
      } else if (const auto* late = std::get_if<task::NotReadyYet>(&effect)) {
        say_not_ready(*late);
      }
    }
    out_.clear();
    again = false;
    if (read) {
      const auto queue = reactor::accept_queue(listener_fd_);
      if (queue) {
        readiness_.on_reading(loop_.now(), {queue->depth, queue->limit, reactor::has_defer_accept(listener_fd_)}, out_);
        again = true;
      }
    }
    if (ask_owner) {
      const bool defers = listener_fd_ >= 0 && reactor::has_defer_accept(listener_fd_);
      readiness_.on_owner(loop_.now(), owner(), defers, out_);
      again = true;
    }
    if (request) probe_.send_request();
    if (ready) {
      timer_.at(readiness_.next_deadline());
      on_ready_(by);
    }
  }
  timer_.at(readiness_.next_deadline());
}

task::Owner ReadyProbe::owner() const {
  const reactor::AcceptedSocket socket = probe_.accepted_socket();
  switch (socket.state) {
    case reactor::Accepted::kWaiting: return task::Owner::kNobodyYet;
    case reactor::Accepted::kGone:
    case reactor::Accepted::kUnknown: return task::Owner::kUnknown;
    case reactor::Accepted::kTaken: break;
  }
  if (socket.inode == 0) return task::Owner::kUnknown;
  switch (reactor::holds_socket(group_, socket.inode)) {
    case reactor::Holds::kYes: return task::Owner::kThisWorker;
    case reactor::Holds::kNo: return task::Owner::kAnother;
    case reactor::Holds::kUnknown: return task::Owner::kUnknown;
  }
  SHOAL_UNREACHABLE();
}

void ReadyProbe::on_result(WorkerProbe::Result result, int status) {
  drive([&](Instant now) {
    switch (result) {
      case WorkerProbe::Result::kConnected: return readiness_.on_connected(now, out_);
      case WorkerProbe::Result::kAnswered: return readiness_.on_http_answer(now, status, out_);
      case WorkerProbe::Result::kNoHttp:
      case WorkerProbe::Result::kRefused:
      case WorkerProbe::Result::kClosed:
      case WorkerProbe::Result::kTimedOut:
      case WorkerProbe::Result::kNotTried: return readiness_.on_connect_failed(now, out_);
    }
  });
}

void ReadyProbe::say_not_ready(const task::NotReadyYet& late) {
  const bool passed = listener_fd_ >= 0;
  for (const reactor::ListeningSocket& found : reactor::listeners_of_group(group_, listener_fd_)) {
    if (!passed && found.at.port == listener_.port) continue;  // Where it should.
    log_.warn(passed
                  ? "the worker is not ready yet: it listens on a port by itself and not on descriptor 3, the socket "
                    "that it was given; let it use that (SHOAL_LISTENER_FD, LISTEN_FDS), or set worker.socket = "
                    "\"reserve\" and let it listen on SHOAL_PORT"
                  : "the worker is not ready yet: it listens on another port than SHOAL_PORT; give it that one, with "
                    "{port} in worker.command or from its environment",
              {{"pid", found.pid},
               {"listens_on", to_text(found.at)},
               {"shoal_port", listener_.port},
               {"elapsed_ms", late.elapsed}});
    return;
  }
  if (late.http_status != 0) {
    log_.warn("the worker is not ready yet: its answer is neither 2xx nor 3xx",
              {{"path", std::string_view(config_.worker.ready_path)},
               {"status", late.http_status},
               {"elapsed_ms", late.elapsed}});
  } else {
    log_.info("the worker is not ready yet", {{"elapsed_ms", late.elapsed}});
  }
}

}  // namespace shoal::app
