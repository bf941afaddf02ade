#include "reactor/worker_sockets.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace shoal::reactor {
namespace {

constexpr std::string_view kSocketLink = "socket:[";
constexpr std::string_view kListenState = "0A";

struct Held {
  pid_t pid = 0;
  ino_t inode = 0;
};

template <typename F>
void each_entry(const std::string& path, F&& f) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return;
  while (const dirent* entry = ::readdir(directory)) f(entry->d_name);
  ::closedir(directory);
}

std::vector<Held> sockets_of_group(pid_t group) {
  std::vector<Held> out;
  each_entry("/proc", [&](const char* name) {
    const pid_t pid = std::atoi(name);
    if (pid <= 0 || ::getpgid(pid) != group) return;
    const std::string descriptors = std::string("/proc/") + name + "/fd";
    each_entry(descriptors, [&](const char* descriptor) {
      char link[64];
      const ssize_t size = ::readlink((descriptors + "/" + descriptor).c_str(), link, sizeof link);
      if (size <= 0) return;
      const std::string_view text(link, static_cast<std::size_t>(size));
      if (text.substr(0, kSocketLink.size()) != kSocketLink) return;
      out.push_back({pid, static_cast<ino_t>(std::strtoull(link + kSocketLink.size(), nullptr, 10))});
    });
  });
  return out;
}

/// "0100007F:1F90": each word of four bytes in the machine's order, the port as a number.
bool read_place(std::string_view text, Endpoint& out) {
  const std::size_t colon = text.find(':');
  if (colon != 8 && colon != 32) return false;
  std::uint8_t raw[16];
  for (std::size_t i = 0; i < colon; i += 8) {
    std::uint32_t word = 0;
    if (std::from_chars(text.data() + i, text.data() + i + 8, word, 16).ec != std::errc{}) return false;
    std::memcpy(raw + i / 2, &word, sizeof word);
  }
  const auto address = IpAddress::from_raw(Bytes(raw, colon / 2));
  const auto port = std::from_chars(text.data() + colon + 1, text.data() + text.size(), out.port, 16);
  if (!address || port.ec != std::errc{}) return false;
  out.addr = *address;
  return true;
}

/// The n-th word of a line that has any number of spaces between them.
std::string_view word(std::string_view line, int n) {
  for (;; --n) {
    line.remove_prefix(std::min(line.find_first_not_of(" \n"), line.size()));
    const std::string_view one = line.substr(0, line.find_first_of(" \n"));
    if (n == 0 || one.empty()) return one;
    line.remove_prefix(one.size());
  }
}

/// `path`: /proc/PID/net/tcp or tcp6. The kernel lists listening sockets first, so the first line of another kind ends
/// it.
void find_listeners(const std::string& path, const std::vector<Held>& held, ino_t ours,
                    std::vector<ListeningSocket>& out) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return;
  char line[512];
  bool is_head = true;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::exchange(is_head, false)) continue;
    if (word(line, 3) != kListenState) break;
    const std::string inode_text(word(line, 9));
    const auto inode = static_cast<ino_t>(std::strtoull(inode_text.c_str(), nullptr, 10));
    const auto owner = std::find_if(held.begin(), held.end(), [&](const Held& h) { return h.inode == inode; });
    ListeningSocket found;
    if (inode == 0 || inode == ours || owner == held.end() || !read_place(word(line, 1), found.at)) continue;
    found.pid = owner->pid;
    out.push_back(found);
  }
  std::fclose(file);
}

}  // namespace

std::vector<ListeningSocket> listeners_of_group(pid_t group, int ours) {
  std::vector<ListeningSocket> out;
  if (group <= 0) return out;
  const std::vector<Held> held = sockets_of_group(group);
  if (held.empty()) return out;
  struct stat status {};
  const ino_t our_inode = ours >= 0 && ::fstat(ours, &status) == 0 ? status.st_ino : 0;
  const std::string net = "/proc/" + std::to_string(held[0].pid) + "/net/";
  for (const char* table : {"tcp", "tcp6"}) find_listeners(net + table, held, our_inode, out);
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
