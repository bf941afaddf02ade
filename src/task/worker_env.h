// What the worker is started with: its argv and its environment. Start-up code, before the worker exists; the only
// part that runs between fork and exec is write_listen_pid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/endpoint.h"
#include "base/result.h"

namespace shoal::task {

inline constexpr int kListenerFd = 3;

struct WorkerPlan {
  std::vector<std::string> command;  // argv with {addr}, {port}, {fd}; `{{` is a brace.
  IpAddress addr;                    // The address that peers reach.
  std::uint16_t port = 0;
  bool pass_listener = true;  // The listener is descriptor 3. Else the worker binds the port itself.
  std::string notify_socket;  // Empty = none.
  std::span<const char* const> parent_environment;  // "KEY=value"; a terminating nullptr is not part of it.
};

struct WorkerImage {
  static constexpr std::size_t kNoListenPid = static_cast<std::size_t>(-1);
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  std::size_t listen_pid = kNoListenPid;  // Which entry of `environment` write_listen_pid completes.
};

/// An error names the placeholder and the fix. None of shoal's own settings (SHOAL_*), and nothing that service
/// managers meant for shoal itself (LISTEN_*, NOTIFY_SOCKET, WATCHDOG_*), goes on to the worker.
[[nodiscard]] Result<WorkerImage> make_worker_image(const WorkerPlan& plan);

/// Writes the worker's own pid into its `LISTEN_PID=` entry. Only touches that memory, so it may run between fork and
/// exec. REQUIRES: `entry` is the entry named by WorkerImage::listen_pid, pid > 0.
void write_listen_pid(char* entry, std::int32_t pid);

}  // namespace shoal::task
