#include "reactor/file.h"

#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "test_directory.h"

namespace shoal::reactor {
namespace {

mode_t mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

TEST_CASE("a file is replaced whole, with its mode whatever the umask, and nothing is left beside it") {
  TestDirectory d;
  const mode_t before = ::umask(0077);
  REQUIRE(replace_file(d / "a", "one", 0640).ok());
  ::umask(before);
  CHECK(mode_of(d / "a") == 0640);
  CHECK(*read_file(d / "a", 100) == "one");
  REQUIRE(replace_file(d / "a", "", 0600).ok());
  CHECK(*read_file(d / "a", 100) == "");
  CHECK(mode_of(d / "a") == 0600);
  CHECK(d.entries() == 1);
}

TEST_CASE("a replacement that fails leaves the old file and nothing beside it") {
  TestDirectory d;
  REQUIRE(make_directory(d / "in", 0700).ok());
  REQUIRE(make_directory(d / "in/a", 0700).ok());  // A directory cannot be replaced by a file.
  const Result<void> failed = replace_file(d / "in/a", "x", 0600);
  REQUIRE(!failed.ok());
  CHECK(failed.error().code == EISDIR);
  CHECK(failed.error().message.find("cannot replace " + (d / "in/a")) == 0);
  CHECK(d.entries("in") == 1);
  const Result<void> nowhere = replace_file(d / "none/a", "x", 0600);
  REQUIRE(!nowhere.ok());
  CHECK(nowhere.error().code == ENOENT);
  CHECK(nowhere.error().message.find("does its directory exist?") != std::string::npos);
  ::rmdir((d / "in/a").c_str());
}

TEST_CASE("a symbolic link stays one, and the file that it leads to is replaced") {
  TestDirectory d;
  REQUIRE(replace_file(d / "real", "one", 0600).ok());
  REQUIRE(::symlink((d / "real").c_str(), (d / "link").c_str()) == 0);
  REQUIRE(replace_file(d / "link", "two", 0600).ok());
  CHECK(*read_file(d / "real", 10) == "two");
  struct stat info {};
  REQUIRE(::lstat((d / "link").c_str(), &info) == 0);
  CHECK(S_ISLNK(info.st_mode));
}

TEST_CASE("reading has a limit, and takes regular files alone without waiting") {
  TestDirectory d;
  REQUIRE(replace_file(d / "a", std::string(40'000, 'x'), 0600).ok());
  CHECK(read_file(d / "a", 40'000)->size() == 40'000);
  CHECK(read_file(d / "a", 39'999).error().code == EFBIG);
  CHECK(read_file(d / "none", 10).error().code == ENOENT);
  CHECK(read_file(d.path(), 10).error().code == EISDIR);
  REQUIRE(::mkfifo((d / "fifo").c_str(), 0600) == 0);
  CHECK(read_file(d / "fifo", 10).error().code == EINVAL);
  AppendFile file;
  CHECK(!file.open(d / "fifo", 0600).ok());
  CHECK_FALSE(file.is_open());
}

TEST_CASE("an append file grows, goes on where it ended, and can begin anew") {
  TestDirectory d;
  AppendFile file;
  REQUIRE(file.open(d / "log", 0600).ok());
  REQUIRE(file.append(as_bytes("one\n")).ok());
  REQUIRE(file.sync().ok());
  CHECK(file.size_bytes() == 4);
  file.close();
  REQUIRE(file.open(d / "log", 0600).ok());
  CHECK(file.size_bytes() == 4);
  REQUIRE(file.append(as_bytes("two\n")).ok());
  CHECK(*read_file(d / "log", 100) == "one\ntwo\n");
  file.close();
  REQUIRE(file.open(d / "log", 0600, AppendFile::Start::kEmpty).ok());
  CHECK(file.size_bytes() == 0);
  CHECK(*read_file(d / "log", 100) == "");
}

TEST_CASE("an append file has one owner: whoever comes second is refused, and spoils nothing") {
  TestDirectory d;
  AppendFile first;
  REQUIRE(first.open(d / "log", 0600).ok());
  REQUIRE(first.append(as_bytes("one\n")).ok());
  AppendFile second;
  const Result<void> refused = second.open(d / "log", 0600, AppendFile::Start::kEmpty);
  REQUIRE(!refused.ok());
  CHECK(refused.error().message == "cannot append to " + (d / "log") + ": another program writes to it");
  CHECK_FALSE(second.is_open());
  CHECK(*read_file(d / "log", 100) == "one\n");
  first.close();
  CHECK(second.open(d / "log", 0600).ok());
}

TEST_CASE("a file that took another's place is the one that is appended to") {
  TestDirectory d;
  REQUIRE(replace_file(d / "log", "old\n", 0600).ok());
  AppendFile file;
  REQUIRE(file.open(d / "log.new", 0600, AppendFile::Start::kEmpty).ok());
  REQUIRE(file.append(as_bytes("new\n")).ok());
  REQUIRE(file.rename_to(d / "log").ok());
  CHECK(file.path() == d / "log");
  REQUIRE(file.append(as_bytes("more\n")).ok());
  CHECK(*read_file(d / "log", 100) == "new\nmore\n");
  CHECK(d.entries() == 1);
  CHECK(file.rename_to(d / "none/log").error().code == ENOENT);
  CHECK(file.is_open());
}

TEST_CASE("an append that does not fit leaves no part of itself") {
  AppendFile full;
  // A file that takes nothing is no regular one, so the limit of this process is used: EFBIG after 8 bytes.
  TestDirectory d;
  REQUIRE(full.open(d / "log", 0600).ok());
  REQUIRE(full.append(as_bytes("1234")).ok());
  FileSizeLimit limit(8);
  const Result<void> failed = full.append(as_bytes("567890"));
  REQUIRE(!failed.ok());
  CHECK(failed.error().code == EFBIG);
  CHECK(failed.error().message.find("cannot append to " + (d / "log")) == 0);
  CHECK(full.size_bytes() == 4);
  CHECK(*read_file(d / "log", 100) == "1234");
  CHECK(full.append(as_bytes("5678")).ok());
}

TEST_CASE("making a directory that is there is fine, unless it is none") {
  TestDirectory d;
  CHECK(make_directory(d / "x", 0700).ok());
  CHECK(make_directory(d / "x", 0755).ok());
  CHECK(mode_of(d / "x") == 0700);
  REQUIRE(replace_file(d / "f", "", 0600).ok());
  CHECK(make_directory(d / "f", 0700).error().code == ENOTDIR);
  CHECK(make_directory(d / "n/m", 0700).error().code == ENOENT);
}

}  // namespace
}  // namespace shoal::reactor
