#include "app/worker_watch.h"

#include <utility>

#include "reactor/listener.h"

namespace shoal::app {
namespace {

constexpr Duration kReadQueueEvery = 1s;
constexpr std::uint32_t kUntriedTold = 3;

task::HealthMode mode_of(config::WorkerHealth health) {
  switch (health) {
    case config::WorkerHealth::kOff:
    case config::WorkerHealth::kHttp: return task::HealthMode::kHttp;
    case config::WorkerHealth::kTcp: return task::HealthMode::kTcp;
    case config::WorkerHealth::kQueue: return task::HealthMode::kQueue;
  }
  SHOAL_UNREACHABLE();
}

task::Health::Options options_of(const config::Worker& worker) {
  task::Health::Options options;
  options.mode = mode_of(worker.health);
  options.interval = worker.health_interval;
  options.timeout = worker.health_timeout;
  options.rise = worker.health_rise;
  options.fall = worker.health_fall;
  return options;
}

}  // namespace

WorkerWatch::WorkerWatch(reactor::Loop& loop, const config::Config& config, Log& log, Rng rng,
                         WorkerWatchHandler& handler)
    : loop_(loop),
      config_(config),
      log_(log),
      handler_(handler),
      health_(options_of(config.worker), rng, loop.now()),
      feedback_(static_cast<std::uint16_t>(config.task.weight), loop.now()),
      probe_(loop, config.worker.health_path,
             [this](WorkerProbe::Result result, int status) { on_result(result, status); }),
      health_timer_(loop, [this] { drive([this](Instant now) { health_.on_deadline(now, out_); }); }),
      queue_timer_(loop, [this] { read_queue(); }) {}

void WorkerWatch::open(const ServiceSocket& service) {
  fd_ = service.listener();
  probe_.aim(service.bound());
  if (fd_ >= 0) queue_timer_.at(loop_.now());
}

void WorkerWatch::close() {
  follow(0);
  queue_timer_.stop();
  fd_ = -1;
}

void WorkerWatch::follow(std::uint32_t ready_generation) {
  if (ready_generation == generation_) return;
  generation_ = ready_generation;
  untried_told_ = false;
  if (generation_ == 0) {
    drive([this](Instant now) { health_.stop(now, out_); });
    return;
  }
  feedback_.start(loop_.now());
  if (config_.worker.health != config::WorkerHealth::kOff) {
    drive([this](Instant now) { health_.start(now, out_); });
  }
}

bool WorkerWatch::read_gauge() {
  const auto queue = reactor::accept_queue(fd_);
  if (!queue) return false;
  reading_ = {queue->depth, queue->limit, reactor::has_defer_accept(fd_)};
  gauge_.on_reading(reading_);
  return true;
}

void WorkerWatch::read_queue() {
  const bool adapts = config_.task.adaptive_weight;
  queue_timer_.at(loop_.now() + (adapts ? task::LoadFeedback::kReadEvery : kReadQueueEvery));
  if (!read_gauge() || !adapts || generation_ == 0 || !health_.is_healthy()) return;
  const std::uint16_t before = feedback_.weight();
  const auto weight = feedback_.on_reading(loop_.now(), reading_);
  if (!weight) return;
  log_.info(*weight < before ? "connections wait to be accepted: a lower weight is asked for"
                             : "no connection waits to be accepted: a higher weight is asked for",
            {{"weight", *weight}, {"before", before}, {"accept_queue_depth", reading_.depth}});
  handler_.on_weight();
}

template <typename F>
void WorkerWatch::drive(F&& f) {
  f(loop_.now());
  // What an effect asks for may be answered at once, which gives effects of its own.
  while (!out_.empty()) {
    const task::HealthOutbox now = std::exchange(out_, {});
    for (const task::HealthEffect& effect : now) carry_out(effect);
  }
  health_timer_.at(health_.next_deadline());
  if (health_.untried() >= kUntriedTold && !std::exchange(untried_told_, true)) {
    log_.warn("the worker's health cannot be looked at; is the limit of open files too low?",
              {{"untried", health_.untried()}});
  }
}

void WorkerWatch::carry_out(const task::HealthEffect& effect) {
  if (std::holds_alternative<task::StartHealthProbe>(effect)) {
    start_probe();
  } else if (std::holds_alternative<task::EndHealthProbe>(effect)) {
    probe_.end();
  } else if (std::holds_alternative<task::ReadHealthQueue>(effect)) {
    if (read_gauge()) health_.on_reading(loop_.now(), reading_, out_);
  } else if (std::holds_alternative<task::JoinQueue>(effect)) {
    probe_.connect();
  } else if (std::holds_alternative<task::LookAtJoined>(effect)) {
    look_at_joined();
  } else if (const auto* bad = std::get_if<task::WorkerUnhealthy>(&effect)) {
    log_.warn("the worker is unhealthy", {{"reason", task::to_text(bad->fault)},
                                          {"status", bad->http_status},
                                          {"failures", bad->failures},
                                          {"successes_needed", bad->rise_needed}});
    handler_.on_unhealthy();
  } else if (const auto* good = std::get_if<task::WorkerHealthy>(&effect)) {
    log_.info("the worker is healthy again", {{"unhealthy_ms", good->unhealthy_for}, {"successes", good->successes}});
    handler_.on_healthy();
  }
}

/// Each probe of a worker that hangs leaves a connection in its queue. What waits there already says enough, and
/// clients that come back with the worker should find room.
bool WorkerWatch::is_crowded() const {
  return gauge_.known && !health_.is_healthy() && reading_.depth >= reading_.limit / 2;
}

void WorkerWatch::start_probe() {
  if (read_gauge() && is_crowded()) {
    return health_.on_failed(loop_.now(), task::HealthFault::kNotAccepted, out_);
  }
  if (config_.worker.health == config::WorkerHealth::kHttp) {
    probe_.get();
  } else {
    probe_.connect();
  }
}

void WorkerWatch::look_at_joined() {
  if (!read_gauge()) return health_.on_nothing_learned(loop_.now(), out_);
  task::Health::Joined joined = task::Health::Joined::kUnknown;
  switch (probe_.accepted()) {
    case reactor::Accepted::kWaiting: joined = task::Health::Joined::kWaiting; break;
    case reactor::Accepted::kTaken: joined = task::Health::Joined::kAccepted; break;
    case reactor::Accepted::kGone:
    case reactor::Accepted::kUnknown: break;
  }
  health_.on_joined(loop_.now(), joined, reading_, out_);
}

void WorkerWatch::on_result(WorkerProbe::Result result, int status) {
  using Result = WorkerProbe::Result;
  if (config_.worker.health == config::WorkerHealth::kQueue) return on_joined_result(result);
  drive([&](Instant now) {
    switch (result) {
      case Result::kConnected:
        probe_.end();  // A worker with one thread would go on waiting for a request.
        return health_.on_passed(now, out_);
      case Result::kAnswered: return health_.on_http_answer(now, status, out_);
      case Result::kNoHttp: return health_.on_failed(now, task::HealthFault::kNoHttp, out_);
      case Result::kRefused: return health_.on_failed(now, task::HealthFault::kRefused, out_);
      case Result::kClosed: return health_.on_failed(now, task::HealthFault::kClosed, out_);
      case Result::kTimedOut: return health_.on_failed(now, task::HealthFault::kNoAnswer, out_);
      case Result::kNotTried: return health_.on_nothing_learned(now, out_);
    }
  });
}

/// Of the connection in the queue.
void WorkerWatch::on_joined_result(WorkerProbe::Result result) {
  using Result = WorkerProbe::Result;
  drive([&](Instant now) {
    switch (result) {
      case Result::kConnected:  // Now it waits there.
        if (reading_.defer_accept) probe_.send_byte();
        probe_.finish();  // So that it costs a worker with one thread no time.
        return;
      case Result::kClosed: return health_.on_joined(now, task::Health::Joined::kAccepted, reading_, out_);
      case Result::kAnswered:
      case Result::kNoHttp:
      case Result::kRefused:
      case Result::kTimedOut:
      case Result::kNotTried: return health_.on_nothing_learned(now, out_);  // The next one joins anew.
    }
  });
}

}  // namespace shoal::app
