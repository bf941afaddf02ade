#include "reactor/process.h"

#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "reactor/listener.h"
#include "reactor/reaper.h"
#include "test_loop.h"

namespace shoal::reactor {
namespace {

struct Children {
  TestLoop t;
  std::map<pid_t, ExitStatus> ended;
  Reaper reaper{t.loop, [this](pid_t pid, const ExitStatus& status) { ended[pid] = status; }};

  [[nodiscard]] ExitStatus end_of(pid_t pid) {
    REQUIRE(t.run_until([&] { return ended.count(pid) == 1; }));
    return ended[pid];
  }
};

SpawnOptions shell(const std::string& script) {
  return {.argv = {"sh", "-c", script}, .env = {"PATH=/usr/bin:/bin", "WORD=hello"}};
}

std::string file_of(pid_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string link_of(pid_t pid, int fd) {
  char target[256] = {};
  (void)!::readlink(("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd)).c_str(), target, sizeof target - 1);
  return target;
}

std::set<int> fds_of(pid_t pid) {
  std::set<int> out;
  DIR* directory = ::opendir(("/proc/" + std::to_string(pid) + "/fd").c_str());
  REQUIRE(directory != nullptr);
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] != '.') out.insert(std::atoi(entry->d_name));
  }
  ::closedir(directory);
  return out;
}

TEST_CASE("a child gets exactly its environment, its own pid in LISTEN_PID, and its exit status comes back") {
  Children c;
  const Result<ServiceListener> listener = listen_service({IpAddress::v4(127, 0, 0, 1), 0}, 8);
  REQUIRE(listener.ok());
  SpawnOptions options = shell(
      "[ \"$LISTEN_PID\" = \"$$\" ] || exit 1; [ \"$WORD\" = hello ] || exit 2; [ -z \"$HOME\" ] || exit 3; exit 42");
  options.pass_fd = listener.value().fd.get();
  options.env.push_back("LISTEN_PID=1");  // Replaced, not doubled.
  const Result<pid_t> pid = spawn(options);
  REQUIRE(pid.ok());
  const ExitStatus status = c.end_of(pid.value());
  CHECK(status.code == 42);
  CHECK(!status.by_signal());
}

void check_listener_in_child(Children& c, int fd) {
  const std::string socket = link_of(::getpid(), fd);
  const int leaked = ::fcntl(fd, F_DUPFD, 50);  // Without close-on-exec.
  std::signal(SIGUSR1, SIG_IGN);
  SpawnOptions options{.argv = {"sleep", "30"}, .env = {"PATH=/usr/bin:/bin"}, .pass_fd = fd};
  const Result<pid_t> pid = spawn(options);
  ::close(leaked);
  std::signal(SIGUSR1, SIG_DFL);
  REQUIRE(pid.ok());
  const pid_t child = pid.value();
  CHECK(link_of(child, 3) == socket);
  // The kernel closes one after the other, and says that it has begun.
  std::set<int> fds = fds_of(child);
  for (int looks = 0; looks < 1000 && *fds.rbegin() != 3; ++looks, fds = fds_of(child)) ::usleep(1000);
  CHECK(fds.count(3) == 1);
  CHECK(*fds.rbegin() == 3);
  // Blocking, and no close-on-exec: the flags are octal, O_NONBLOCK is 04000 and O_CLOEXEC 02000000.
  const std::string info = file_of(child, "fdinfo/3");
  const std::size_t at = info.find("flags:");
  REQUIRE(at != std::string::npos);
  const unsigned long flags = std::strtoul(info.c_str() + at + 6, nullptr, 8);
  CHECK((flags & (O_NONBLOCK | O_CLOEXEC)) == 0);
  CHECK(::getpgid(child) == child);
  const std::string status = file_of(child, "status");
  CHECK(status.find("SigBlk:\t0000000000000000") != std::string::npos);
  CHECK(status.find("SigIgn:\t0000000000000000") != std::string::npos);
  CHECK(signal_group(child, SIGTERM).ok());
  const ExitStatus end = c.end_of(child);
  CHECK(end.signal == SIGTERM);
  CHECK(end.shell_code() == 143);
}

TEST_CASE("descriptor 3 is the listener, blocking; no other leaks; signals and the group are fresh") {
  Children c;
  const Result<ServiceListener> listener = listen_service({IpAddress::v4(127, 0, 0, 1), 0}, 8);
  REQUIRE(listener.ok());
  check_listener_in_child(c, listener.value().fd.get());
  CHECK((::fcntl(listener.value().fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a listener that is number 3 already is passed just the same") {
  Result<ServiceListener> listener = listen_service({IpAddress::v4(127, 0, 0, 1), 0}, 8);
  REQUIRE(listener.ok());
  // Whatever this test program was started with as 3 stands aside. The loop is made later, so it is none of its own.
  OwnedFd fd = std::move(listener.value().fd);
  OwnedFd aside;
  if (fd.get() != 3) {
    aside = OwnedFd(::fcntl(3, F_DUPFD_CLOEXEC, 60));
    REQUIRE(::dup3(fd.get(), 3, O_CLOEXEC) == 3);
    fd = OwnedFd(3);
  }
  {
    Children c;
    check_listener_in_child(c, 3);
  }
  if (aside.open()) ::dup3(aside.get(), fd.release(), O_CLOEXEC);
}

TEST_CASE(
    "a program that is not there or not executable is an error with the shell's exit code, and leaves no zombie") {
  const auto failure = [](std::vector<std::string> argv) {
    const Result<pid_t> pid = spawn({.argv = std::move(argv), .env = {"PATH=/usr/bin:/bin:/etc"}});
    REQUIRE(!pid.ok());
    return pid.error();
  };
  const Error absent = failure({"/no/such/program"});
  CHECK(absent.code == ENOENT);
  CHECK(absent.message.find("/no/such/program") != std::string::npos);
  CHECK(exec_exit_code(absent) == 127);
  CHECK(exec_exit_code(failure({"no-such-program-in-path"})) == 127);
  CHECK(exec_exit_code(failure({""})) == 127);
  CHECK(exec_exit_code(failure({"/etc/passwd"})) == 126);
  CHECK(exec_exit_code(failure({"passwd-", "x"})) == (::access("/etc/passwd-", F_OK) == 0 ? 126 : 127));
  CHECK(exec_exit_code(failure({"/tmp"})) == 126);
  errno = 0;
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}

TEST_CASE("children that ended before the loop ran, many at once, and orphans are all reaped") {
  REQUIRE(become_subreaper().ok());
  Children c;
  std::set<pid_t> pids;
  for (int i = 0; i < 5; ++i) {
    const Result<pid_t> pid = spawn(shell("exit 7"));
    REQUIRE(pid.ok());
    pids.insert(pid.value());
  }
  // The shell leaves a grandchild behind, which becomes ours.
  const Result<pid_t> parent = spawn(shell("sh -c 'sleep 0.1; exit 9' & exit 0"));
  REQUIRE(parent.ok());
  ::usleep(50 * 1000);
  REQUIRE(c.t.run_until([&] { return c.ended.size() == 7; }));
  for (const pid_t pid : pids) CHECK(c.ended[pid].code == 7);
  int orphans = 0;
  for (const auto& [pid, status] : c.ended) orphans += status.code == 9 ? 1 : 0;
  CHECK(orphans == 1);
  CHECK(c.reaper.reaped() == 7);
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("a child dies with its parent") {
  REQUIRE(become_subreaper().ok());
  Children c;
  int pipe_ends[2];
  REQUIRE(::pipe2(pipe_ends, O_CLOEXEC) == 0);
  const pid_t middle = ::fork();
  if (middle == 0) {
    const Result<pid_t> pid = spawn({.argv = {"sleep", "30"}, .env = {"PATH=/usr/bin:/bin"}});
    const pid_t value = pid.ok() ? pid.value() : -1;
    (void)!::write(pipe_ends[1], &value, sizeof value);
    ::_exit(0);
  }
  pid_t grandchild = -1;
  REQUIRE(::read(pipe_ends[0], &grandchild, sizeof grandchild) == sizeof grandchild);
  REQUIRE(grandchild > 0);
  CHECK(c.end_of(grandchild).signal == SIGKILL);
  CHECK(signal_process(grandchild, 0).error().code == ESRCH);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

TEST_CASE("a signal that is said to be blocked waits for the child, and no other does") {
  Children c;
  SpawnOptions options = shell("kill -HUP $$; kill -USR1 $$; exit 0");
  CHECK(c.end_of(spawn(options).value()).signal == SIGHUP);
  options.blocked_signal = SIGHUP;
  CHECK(c.end_of(spawn(options).value()).signal == SIGUSR1);
}

TEST_CASE("signals arrive as events, also those that were ignored or pending before the loop ran") {
  TestLoop t;
  std::signal(SIGHUP, SIG_IGN);
  std::vector<int> seen;
  int sender = 0;
  {
    Signals signals(t.loop, {SIGTERM, SIGHUP}, [&](int signal, int pid) {
      seen.push_back(signal);
      sender = pid;
    });
    ::kill(::getpid(), SIGTERM);
    ::kill(::getpid(), SIGHUP);
    REQUIRE(t.run_until([&] { return seen.size() == 2; }));
    CHECK(sender == ::getpid());
    ::kill(::getpid(), SIGTERM);  // Discarded at the end, not delivered by the unblocking.
  }
  sigset_t blocked;
  ::sigprocmask(SIG_BLOCK, nullptr, &blocked);
  CHECK(sigismember(&blocked, SIGTERM) == 0);
}

}  // namespace
}  // namespace shoal::reactor
