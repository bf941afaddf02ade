#include "app/service_socket.h"

#include <utility>

namespace shoal::app {
namespace {

constexpr int kListenBacklog = 1024;

}  // namespace

Result<void> ServiceSocket::open(const Endpoint& local) {
  auto opened = is_passed() ? reactor::listen_service(local, kListenBacklog) : reactor::reserve_port(local);
  if (!opened.ok()) return opened.error();
  socket_ = std::move(opened.value());
  return {};
}

void ServiceSocket::before_worker() {
  if (how_ == config::WorkerSocket::kReserveClose) socket_.fd.reset();
}

void ServiceSocket::stop_serving() {
  if (is_passed()) socket_.fd.reset();
}

std::string_view ServiceSocket::advice() const {
  switch (how_) {
    case config::WorkerSocket::kPass: return "it must accept on the descriptor in SHOAL_LISTENER_FD";
    case config::WorkerSocket::kReserve:
      return "nobody listens on its port: with worker.socket = reserve it must bind SHOAL_PORT itself, with "
             "SO_REUSEADDR; a program without that needs reserve-close";
    case config::WorkerSocket::kReserveClose:
      return "nobody listens on its port: with worker.socket = reserve-close it must bind SHOAL_PORT itself";
  }
  SHOAL_UNREACHABLE();
}

}  // namespace shoal::app
