#include "reactor/system.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/check.h"
#include "reactor/socket_address.h"

namespace shoal::reactor {

std::uint64_t entropy_u64() {
  std::array<std::uint8_t, sizeof(std::uint64_t)> bytes;
  fill_with_entropy(bytes);
  return std::bit_cast<std::uint64_t>(bytes);
}

void fill_with_entropy(MutableBytes out) {
  constexpr std::size_t kWholeMost = 256;  // Come whole; only a signal before the kernel's pool is ready can interrupt.
  SHOAL_ASSERT(out.size() <= kWholeMost);
  while (::getrandom(out.data(), out.size(), 0) != static_cast<ssize_t>(out.size())) SHOAL_ASSERT(errno == EINTR);
}

std::int64_t wall_clock_ms() {
  timespec now{};
  SHOAL_ASSERT(::clock_gettime(CLOCK_REALTIME, &now) == 0);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

std::string hostname() {
  char name[HOST_NAME_MAX + 1] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "localhost";
  const std::string_view full(name);
  const std::string_view first = full.substr(0, full.find('.'));
  return first.empty() ? "localhost" : std::string(first);
}

Result<IpAddress> local_address_towards(const Endpoint& to) {
  const auto fail = [&](int code) { return system_error(code, "no route to " + std::string(to_text(to.addr).view())); };
  const int family = family_of(to.addr);
  Endpoint there = to;
  if (there.port == 0) there.port = 7946;  // connect(2) wants one; nothing is sent to it.
  const SocketAddress address = to_socket_address(there, family);
  if (address.size == 0) return fail(EADDRNOTAVAIL);
  const OwnedFd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.open()) return fail(errno);
  if (::connect(fd.get(), address.get(), address.size) != 0) return fail(errno);
  const Endpoint local = bound_endpoint(fd.get());
  if (local.addr.empty() || local.addr.is_unspecified()) return fail(EADDRNOTAVAIL);
  return local.addr;
}

std::vector<IpAddress> default_route_addresses() {
  std::vector<IpAddress> out;
  // Addresses kept for documentation (RFC 5737, RFC 3849): only the default route leads there.
  for (const IpAddress& nobody : {IpAddress::v4(192, 0, 2, 1), *IpAddress::parse("2001:db8::1")}) {
    if (const auto local = local_address_towards({nobody, 9}); local.ok()) out.push_back(local.value());
  }
  return out;
}

Result<std::vector<Interface>> interfaces() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return system_error(errno, "cannot list the network interfaces");
  std::vector<Interface> out;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    sockaddr_storage storage{};
    std::memcpy(&storage, entry->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    out.push_back({entry->ifa_name, from_socket_address(storage).addr, (entry->ifa_flags & IFF_UP) != 0,
                   (entry->ifa_flags & IFF_LOOPBACK) != 0});
  }
  ::freeifaddrs(list);
  return out;
}

std::optional<std::string_view> environment_variable(const char* name) {
  const char* value = ::getenv(name);
  if (value == nullptr) return std::nullopt;
  return value;
}

std::vector<std::string_view> environment() {
  std::vector<std::string_view> out;
  for (char** variable = ::environ; variable != nullptr && *variable != nullptr; ++variable) out.push_back(*variable);
  return out;
}

void fill_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    // The lowest free number is given out first, so this is `fd` itself. Kept over exec: the worker inherits it.
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) return;
  }
}

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

LogSink::LogSink(int fd) : fd_(fd) {
  struct stat info {};
  is_socket_ = ::fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

LogSink::Fits LogSink::fits(Duration wait_most) const {
  pollfd ready{fd_, POLLOUT, 0};
  if (::poll(&ready, 1, static_cast<int>(to_ms(wait_most))) != 1) return Fits::kNotYet;
  return (ready.revents & POLLOUT) != 0 ? Fits::kNow : Fits::kNever;  // Nobody reads any more.
}

// A pipe that polls as writable has room for PIPE_BUF bytes (4,096), which is as long as a line may be, so the write
// below does not wait (unless another writer of the same pipe is faster; it then waits for one line's room). A line
// that a socket took only in part is cut.
bool LogSink::write_now(std::string_view line) {
  line = line.substr(0, PIPE_BUF);
  const ssize_t size = is_socket_ ? ::send(fd_, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                                  : ::write(fd_, line.data(), line.size());
  return size == static_cast<ssize_t>(line.size());
}

void LogSink::write(std::string_view line) {
  if (waiting() > 0) flush();
  if (waiting() == 0 && fits() == Fits::kNow) {
    if (!write_now(line)) ++dropped_;
  } else {
    wait_in_line(line);
  }
}

void LogSink::keep(std::size_t bytes) { kept_.emplace(bytes); }

void LogSink::wait_in_line(std::string_view line) {
  if (!kept_ || line.size() > kept_->size() - waiting()) {
    ++dropped_;
    return;
  }
  std::uint8_t* const memory = kept_->bytes().data();
  if (line.size() > kept_->size() - end_) {
    std::memmove(memory, memory + begin_, waiting());
    end_ -= begin_;
    begin_ = 0;
  }
  std::memcpy(memory + end_, line.data(), line.size());
  end_ += line.size();
}

void LogSink::flush() {
  while (waiting() > 0 && fits() == Fits::kNow) {
    const std::string_view all = as_text(kept_->bytes()).substr(begin_, waiting());
    const std::string_view line = all.substr(0, all.find('\n') + 1);  // Each ends in one, and has no other.
    if (!write_now(line)) ++dropped_;
    begin_ += line.size();
  }
  if (waiting() == 0) begin_ = end_ = 0;
}

bool LogSink::flush_within(Duration most) {
  const auto began = std::chrono::steady_clock::now();
  while (waiting() > 0) {
    const Duration left = most - std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - began);
    if (left <= Duration{} || fits(std::min(left, Duration(10ms))) == Fits::kNever) return false;
    flush();
  }
  return true;
}

}  // namespace shoal::reactor
