// A directory of its own for each test, removed afterwards.
#pragma once

#include <dirent.h>
#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>

namespace shoal::reactor {

class TestDirectory {
 public:
  TestDirectory() {
    char name[] = "/tmp/shoal-unit-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~TestDirectory() { remove(path_); }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  /// How many things are in it, or in a directory of it.
  [[nodiscard]] int entries(const std::string& below = "") const {
    int count = 0;
    each(path_ + "/" + below, [&](const std::string&) { ++count; });
    return count;
  }

 private:
  template <typename F>
  static void each(const std::string& path, F&& f) {
    DIR* directory = ::opendir(path.c_str());
    if (directory == nullptr) return;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") f(path + "/" + name);
    }
    ::closedir(directory);
  }
  static void remove(const std::string& path) {
    each(path, [](const std::string& below) {
      if (::unlink(below.c_str()) != 0) remove(below);
    });
    ::rmdir(path.c_str());
  }

  std::string path_;
};

/// While it lives no file of this process grows beyond this.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit limit{bytes, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace shoal::reactor
