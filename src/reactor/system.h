// Small questions to the machine: chance for a seed, the wall clock, names, routes, interfaces, the environment; and a
// way to write log lines that cannot block. Called at start or rarely, except LogSink.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/containers.h"
#include "base/endpoint.h"
#include "base/result.h"
#include "base/time.h"

namespace shoal::reactor {

/// From the kernel; never fails.
[[nodiscard]] std::uint64_t entropy_u64();
/// The same for a whole key or seed.
void fill_with_entropy(MutableBytes out);

/// Milliseconds since 1970. For start ids and log lines: it may jump, so nothing is timed with it.
[[nodiscard]] std::int64_t wall_clock_ms();

/// Cut at the first dot; "localhost" when there is none.
[[nodiscard]] std::string hostname();

/// Our address on the way to `to`. Sends nothing.
[[nodiscard]] Result<IpAddress> local_address_towards(const Endpoint& to);
/// Our addresses on the default routes, v4 before v6; as many as there are such routes.
[[nodiscard]] std::vector<IpAddress> default_route_addresses();

struct Interface {
  std::string name;
  IpAddress addr;
  bool up = false;
  bool loopback = false;
};
/// One entry an address, in the kernel's order.
[[nodiscard]] Result<std::vector<Interface>> interfaces();

[[nodiscard]] std::optional<std::string_view> environment_variable(const char* name);
/// All of it, NAME=VALUE each.
[[nodiscard]] std::vector<std::string_view> environment();

[[nodiscard]] bool is_terminal(int fd);

/// Opens /dev/null in the place of each of descriptors 0 to 2 that is closed, so that none of them becomes a socket
/// that somebody then prints to. To be called first in main.
void fill_standard_descriptors();

/// Log lines to a descriptor that is shared with others (stderr), without ever waiting: where a line does not fit now,
/// it is kept, if so wished, or dropped and counted. O_NONBLOCK is not set, since the worker writes to the same open
/// file.
class LogSink {
 public:
  explicit LogSink(int fd);
  /// For Log: the context is the LogSink.
  static void write(void* context, std::string_view line) { static_cast<LogSink*>(context)->write(line); }
  void write(std::string_view line);
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  /// From now on lines that do not fit wait, in this order and at most so many bytes. Nothing here looks whether they
  /// fit by now: somebody calls `flush` again and again while any are waiting.
  void keep(std::size_t bytes);
  void flush();
  /// For the way out: waits for the reader, so long at most. False when lines are left.
  [[nodiscard]] bool flush_within(Duration most);
  [[nodiscard]] std::size_t waiting() const { return end_ - begin_; }

 private:
  enum class Fits : std::uint8_t { kNow, kNotYet, kNever };
  [[nodiscard]] Fits fits(Duration wait_most = {}) const;
  bool write_now(std::string_view line);
  void wait_in_line(std::string_view line);

  int fd_;
  bool is_socket_;
  std::uint64_t dropped_ = 0;
  std::optional<Buffer> kept_;
  std::size_t begin_ = 0;  // What is waiting, in kept_.
  std::size_t end_ = 0;
};

}  // namespace shoal::reactor
