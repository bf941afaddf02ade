#include "app/ready_probe.h"

#include <array>

namespace shoal::app {
namespace {

/// Where a connection from this machine reaches a listener.
Endpoint reachable(Endpoint listener) {
  if (!listener.addr.is_unspecified()) return listener;
  if (listener.addr.is_v4()) {
    listener.addr = IpAddress::v4(127, 0, 0, 1);
  } else {
    listener.addr = *IpAddress::parse("::1");
  }
  return listener;
}

constexpr std::array<std::uint8_t, 1> kProbeByte = {'\n'};

}  // namespace

ReadyProbe::ReadyProbe(reactor::Loop& loop, const task::Readiness::Options& options, Rng rng,
                       std::function<void(task::ReadyBy)> on_ready)
    : loop_(loop),
      readiness_(options, rng, loop.now()),
      on_ready_(std::move(on_ready)),
      pool_(loop, *this, 1),
      timer_(loop, [this] { drive([this](Instant now) { readiness_.on_deadline(now, out_); }); }) {}

void ReadyProbe::worker_started(int listener_fd, const Endpoint& listener) {
  listener_fd_ = listener_fd;
  target_ = reachable(listener);
  drive([this](Instant now) { readiness_.on_worker_started(now, out_); });
}

void ReadyProbe::notify_ready() {
  drive([this](Instant now) { readiness_.on_notify_ready(now, out_); });
}

void ReadyProbe::stop() {
  drive([this](Instant now) { readiness_.stop(now, out_); });
  close();
}

template <typename F>
void ReadyProbe::drive(F&& f) {
  f(loop_.now());
  // A reading is an input itself: taken after the effects that asked for it are carried out.
  for (bool again = true; again;) {
    bool read = false;
    bool ready = false;
    bool connect_failed = false;
    task::ReadyBy by = task::ReadyBy::kNotify;
    for (const task::ReadinessEffect& effect : out_) {
      if (std::holds_alternative<task::ProbeConnect>(effect)) {
        close();
        stream_ = pool_.connect(target_);
        connect_failed = stream_ == nullptr;
      } else if (std::holds_alternative<task::ReadQueue>(effect)) {
        read = true;
      } else if (std::holds_alternative<task::SendProbeByte>(effect)) {
        if (stream_ != nullptr && stream_->is_open() && !stream_->is_writing()) stream_->write(kProbeByte);
      } else if (std::holds_alternative<task::CloseProbe>(effect)) {
        close();
      } else if (const auto* told = std::get_if<task::WorkerReady>(&effect)) {
        ready = true;
        by = told->by;
      }
    }
    out_.clear();
    again = false;
    if (connect_failed) {
      readiness_.on_connect_failed(loop_.now(), out_);
      again = true;
    } else if (read) {
      const auto queue = reactor::accept_queue(listener_fd_);
      if (queue) {
        readiness_.on_reading(loop_.now(), {queue->depth, queue->limit, reactor::has_defer_accept(listener_fd_)}, out_);
        again = true;
      }
    }
    if (ready) {
      timer_.at(readiness_.next_deadline());
      on_ready_(by);
    }
  }
  timer_.at(readiness_.next_deadline());
}

void ReadyProbe::close() {
  if (stream_ != nullptr) stream_->close();
  stream_ = nullptr;
}

void ReadyProbe::on_connected(reactor::TcpStream&) {
  drive([this](Instant now) { readiness_.on_connected(now, out_); });
}

void ReadyProbe::on_failed(reactor::TcpStream&, reactor::StreamEnd) {
  stream_ = nullptr;
  drive([this](Instant now) { readiness_.on_connect_failed(now, out_); });
}

void ReadyProbe::on_end(reactor::TcpStream&) {
  close();
  drive([this](Instant now) { readiness_.on_connect_failed(now, out_); });
}

void ReadyProbe::on_closed(reactor::TcpStream&, reactor::StreamEnd) {
  stream_ = nullptr;
  drive([this](Instant now) { readiness_.on_connect_failed(now, out_); });
}

}  // namespace shoal::app
