#include "task/worker_env.h"

#include <array>
#include <string_view>

namespace shoal::task {
namespace {

bool goes_on_to_worker(std::string_view entry) {
  if (entry.find('=') == std::string_view::npos) return false;
  if (entry.substr(0, 6) == "SHOAL_") return false;
  constexpr std::array<std::string_view, 6> kNotForWorker = {
      "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="};
  for (const std::string_view key : kNotForWorker) {
    if (entry.substr(0, key.size()) == key) return false;
  }
  return true;
}

}  // namespace

std::vector<std::string> inherited_environment(std::span<const std::string_view> ours) {
  std::vector<std::string> out;
  for (const std::string_view entry : ours) {
    if (goes_on_to_worker(entry)) out.emplace_back(entry);
  }
  return out;
}

std::vector<std::string> worker_environment(const WorkerSurroundings& surroundings) {
  std::vector<std::string> out;
  for (const char* const entry : surroundings.parent_environment) {
    if (goes_on_to_worker(entry)) out.emplace_back(entry);
  }
  out.push_back("SHOAL_PORT=" + std::to_string(surroundings.port));
  out.push_back("SHOAL_ADDR=" + std::string(to_text(surroundings.addr).view()));
  if (surroundings.socket_is_passed) {
    out.push_back("SHOAL_LISTENER_FD=" + std::to_string(kListenerFd));
    out.push_back("LISTEN_FDS=1");
    out.push_back("LISTEN_FDNAMES=shoal");
  }
  if (!surroundings.notify_socket.empty()) out.push_back("NOTIFY_SOCKET=" + surroundings.notify_socket);
  return out;
}

}  // namespace shoal::task
