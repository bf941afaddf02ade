#include "reactor/worker_sockets.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "reactor/process_info.h"
#include "reactor/tcp_table.h"

namespace shoal::reactor {
namespace {

constexpr std::string_view kSocketLink = "socket:[";

struct Held {
  pid_t pid = 0;
  ino_t inode = 0;
};

std::vector<Held> sockets_of_group(pid_t group) {
  std::vector<Held> out;
  each_number_in("/proc", [&](int pid) {
    if (pid == 0 || ::getpgid(pid) != group) return;
    const std::string descriptors = "/proc/" + std::to_string(pid) + "/fd";
    each_number_in(descriptors, [&](int fd) {
      char link[64];
      const ssize_t size = ::readlink((descriptors + "/" + std::to_string(fd)).c_str(), link, sizeof link);
      if (size <= 0) return;
      const std::string_view text(link, static_cast<std::size_t>(size));
      if (text.substr(0, kSocketLink.size()) != kSocketLink) return;
      out.push_back({pid, static_cast<ino_t>(std::strtoull(link + kSocketLink.size(), nullptr, 10))});
    });
  });
  return out;
}

}  // namespace

std::vector<ListeningSocket> listeners_of_group(pid_t group, int ours) {
  std::vector<ListeningSocket> out;
  if (group <= 0) return out;
  const std::vector<Held> held = sockets_of_group(group);
  if (held.empty()) return out;
  struct stat status {};
  const ino_t our_inode = ours >= 0 && ::fstat(ours, &status) == 0 ? status.st_ino : 0;
  each_tcp_socket("/proc/" + std::to_string(held[0].pid) + "/net", [&](const TcpSocket& socket) {
    const auto owner = std::find_if(held.begin(), held.end(), [&](const Held& h) { return h.inode == socket.inode; });
    const bool is_wanted = socket.inode != 0 && socket.inode != our_inode && owner != held.end();
    if (socket.listens && is_wanted) out.push_back({owner->pid, socket.local});
    return socket.listens;  // They come first.
  });
  return out;
}

Holds holds_socket(pid_t group, std::uint64_t inode) {
  if (group <= 0) return Holds::kUnknown;
  const std::vector<Held> held = sockets_of_group(group);
  if (held.empty()) return Holds::kUnknown;
  const bool found = std::any_of(held.begin(), held.end(), [&](const Held& h) { return h.inode == inode; });
  return found ? Holds::kYes : Holds::kNo;
}

}  // namespace shoal::reactor
