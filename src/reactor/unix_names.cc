#include "reactor/unix_names.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>

#include "reactor/file.h"

namespace shoal::reactor {

namespace {

constexpr std::size_t kTableBytesMax = std::size_t{16} << 20;
constexpr std::size_t kNamesMax = 1024;

}  // namespace

std::vector<std::string> sockets_in(const std::string& directory) {
  std::vector<std::string> out;
  DIR* entries = ::opendir(directory.c_str());
  if (entries == nullptr) return out;
  while (const dirent* entry = ::readdir(entries)) {
    const std::string path = directory + "/" + entry->d_name;
    struct stat info {};
    if (out.size() < kNamesMax && ::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) out.push_back(path);
  }
  ::closedir(entries);
  std::sort(out.begin(), out.end());
  return out;
}

// A line is "NUM: REFCOUNT PROTOCOL FLAGS TYPE STATE INODE PATH"; bit 16 of FLAGS is set where somebody listens.
std::vector<std::string> parse_listening_names(std::string_view table, std::string_view beginning) {
  std::vector<std::string> out;
  while (!table.empty() && out.size() < kNamesMax) {
    std::string_view line = table.substr(0, table.find('\n'));
    table.remove_prefix(std::min(line.size() + 1, table.size()));
    std::string_view flags;
    for (int column = 0; column < 7; ++column) {
      line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
      if (column == 3) flags = line.substr(0, line.find(' '));
      line.remove_prefix(std::min(line.find(' '), line.size()));
    }
    if (!line.empty()) line.remove_prefix(1);
    if (flags == "00010000" && line.substr(0, beginning.size()) == beginning) out.emplace_back(line);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::vector<std::string> listening_abstract_names(std::string_view beginning) {
  const Result<std::string> table = read_file("/proc/net/unix", kTableBytesMax);
  return table.ok() ? parse_listening_names(table.value(), beginning) : std::vector<std::string>();
}

}  // namespace shoal::reactor
