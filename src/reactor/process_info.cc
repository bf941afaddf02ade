#include "reactor/process_info.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string>

#include "reactor/fd.h"

namespace shoal::reactor {
namespace {

constexpr std::size_t kReadMost = 1024 * 1024;
constexpr char kOwnProgram[] = "/proc/self/exe";

std::string path_of(pid_t pid, const char* file) { return "/proc/" + std::to_string(pid) + "/" + file; }

std::string text_of(pid_t pid, const char* file) {
  std::string out;
  const OwnedFd fd(::open(path_of(pid, file).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.open()) return out;
  char part[4096];
  while (out.size() < kReadMost) {
    const ssize_t size = ::read(fd.get(), part, sizeof part);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    out.append(part, static_cast<std::size_t>(size));
  }
  return out;
}

}  // namespace

bool each_number_in(const std::string& directory, const std::function<void(int)>& f) {
  DIR* entries = ::opendir(directory.c_str());
  if (entries == nullptr) return false;
  while (const dirent* entry = ::readdir(entries)) {
    const std::string_view name(entry->d_name);
    int number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc{} && end == name.data() + name.size()) f(number);
  }
  ::closedir(entries);
  return true;
}

pid_t parent_of(pid_t pid) {
  // "PID (NAME) STATE PPID ...": the name may hold anything, brackets and spaces too.
  const std::string stat = text_of(pid, "stat");
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos || stat.size() < name_end + 4) return 0;
  return std::atoi(stat.c_str() + name_end + 4);
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> out;
  each_number_in("/proc", [&](int child) {
    if (parent_of(child) == pid) out.push_back(child);
  });
  return out;
}

bool same_program(pid_t one, pid_t other) {
  struct stat first {};
  struct stat second {};
  return ::stat(path_of(one, "exe").c_str(), &first) == 0 && ::stat(path_of(other, "exe").c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

bool was_given_variable(pid_t pid, std::string_view variable) {
  const std::string all = text_of(pid, "environ");
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = std::min(all.find('\0', begin), all.size());
    if (std::string_view(all).substr(begin, end - begin) == variable) return true;
    begin = end + 1;
  }
  return false;
}

// A file that was replaced or removed by an update is still there under /proc/self/exe; without /proc there is only the
// name that we were executed by.
const char* own_program() {
  if (::access(kOwnProgram, X_OK) == 0) return kOwnProgram;
  const auto* name = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));  // NOLINT: the kernel gives a number.
  return name == nullptr ? kOwnProgram : name;
}

void set_process_name(const char* name) { ::prctl(PR_SET_NAME, name); }

}  // namespace shoal::reactor
