#include "reactor/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "reactor/fd.h"
#include "reactor/process_info.h"
#include "reactor/socket_address.h"

namespace shoal::reactor {

namespace {

constexpr int kListenerFd = 3;
constexpr char kListenPid[] = "LISTEN_PID=";

// Everything that the child needs between fork and exec, made ready before: there only async-signal-safe calls are
// allowed, and no memory may be taken.
struct Plan {
  const char* path;
  char* const* argv;
  char* const* envp;
  char* pid_text;  // Room for the child's pid behind "LISTEN_PID="; null when not wanted.
  int pass_fd;
  int stdout_fd;
  int stderr_fd;
  int error_fd;
  int fd_end;  // Above every descriptor that is open.
  int blocked_signal;
  bool own_group;
  bool die_with_parent;
  pid_t parent;
};

// Not std::to_string: that takes memory.
void write_decimal(char* out, pid_t value) {
  char digits[16];
  int size = 0;
  do {
    digits[size++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value > 0);
  while (size > 0) *out++ = digits[--size];
  *out = '\0';
}

// Plain close_range works from Linux 5.9; its CLOEXEC flag only from 5.11. Where a sandbox refuses it, one by one.
void close_all_but(int first, int keep, int end) {
  const auto close_span = [](unsigned low, unsigned high) { return ::syscall(SYS_close_range, low, high, 0U) == 0; };
  const bool below = keep <= first || close_span(static_cast<unsigned>(first), static_cast<unsigned>(keep - 1));
  if (below && close_span(static_cast<unsigned>(std::max(first, keep + 1)), ~0U)) return;
  for (int fd = first; fd < end; ++fd) {
    if (fd != keep) ::close(fd);
  }
}

void default_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal <= 64; ++signal) ::sigaction(signal, &action, nullptr);  // Some refuse; rightly.
}

// In the child. Comes back only with an errno: nothing has been executed then.
int become(const Plan& plan) {
  if (plan.own_group && ::setpgid(0, 0) != 0) return errno;
  if (plan.die_with_parent) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
    // The parent may have died before the line above: then nobody will tell us.
    if (::getppid() != plan.parent) return ESRCH;
  }
  if (plan.pid_text != nullptr) write_decimal(plan.pid_text, ::getpid());
  // Before the listener, which may take the number of one of them.
  if (plan.stdout_fd >= 0 && ::dup2(plan.stdout_fd, STDOUT_FILENO) < 0) return errno;
  if (plan.stderr_fd >= 0 && ::dup2(plan.stderr_fd, STDERR_FILENO) < 0) return errno;
  if (plan.pass_fd == kListenerFd) {
    if (::fcntl(kListenerFd, F_SETFD, 0) != 0) return errno;
  } else if (plan.pass_fd >= 0) {
    if (::dup2(plan.pass_fd, kListenerFd) < 0) return errno;  // Without close-on-exec.
  }
  close_all_but(plan.pass_fd >= 0 ? kListenerFd + 1 : kListenerFd, plan.error_fd, plan.fd_end);
  default_signal_handlers();
  sigset_t blocked;
  sigemptyset(&blocked);
  if (plan.blocked_signal != 0) sigaddset(&blocked, plan.blocked_signal);
  ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
  ::execve(plan.path, plan.argv, plan.envp);
  return errno;
}

int end_of_open_fds() {
  int end = 1024;
  const bool known = each_number_in("/proc/self/fd", [&](int fd) { end = std::max(end, fd + 1); });
  if (!known) return static_cast<int>(std::min<long>(::sysconf(_SC_OPEN_MAX), 65536));
  return end;
}

bool is_program(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

// As execvp does it, but before the fork. Gives what to execute; a name that is nowhere is given back as ENOENT, one
// that is there but not executable as EACCES.
Result<std::string> find_program(const SpawnOptions& options) {
  const std::string& name = options.program.empty() ? options.argv[0] : options.program;
  if (name.find('/') != std::string::npos) return name;
  std::string search = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string& variable : options.env) {
    if (variable.compare(0, 5, "PATH=") == 0) search = variable.substr(5);
  }
  bool seen = false;
  for (std::size_t begin = 0; !name.empty() && begin <= search.size();) {
    const std::size_t end = std::min(search.find(':', begin), search.size());
    std::string path = end == begin ? "." : search.substr(begin, end - begin);
    path += "/" + name;
    if (is_program(path)) return path;
    seen = seen || ::access(path.c_str(), F_OK) == 0;
    begin = end + 1;
  }
  return Error{seen ? EACCES : ENOENT, search};
}

Error exec_error(int code, const std::string& program) {
  std::string doing = "cannot execute ";
  doing += program.empty() ? "an empty name" : program;
  Error error = system_error(code, std::move(doing));
  if (code == ENOENT) error.message += "; is it in the image, is PATH right, and the interpreter in its first line?";
  if (code == EACCES) error.message += "; it needs the x bit, on a file system that is not mounted noexec";
  if (code == ENOEXEC) error.message += "; it is no program for this machine, or a script without #!";
  return error;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

// The errno that the child sent, or 0 when the pipe closed by the exec.
int read_outcome(int fd) {
  int code = 0;
  for (;;) {
    const ssize_t size = ::read(fd, &code, sizeof code);
    if (size < 0 && errno == EINTR) continue;
    return size == sizeof code ? code : 0;
  }
}

}  // namespace

Result<pid_t> spawn(const SpawnOptions& options) {
  SHOAL_ASSERT(!options.argv.empty());
  const Result<std::string> program = find_program(options);
  if (!program.ok()) return exec_error(program.error().code, options.argv[0]);

  std::vector<std::string> args = options.argv;
  std::vector<std::string> env;
  for (const std::string& variable : options.env) {
    if (options.pass_fd < 0 || variable.compare(0, sizeof kListenPid - 1, kListenPid) != 0) env.push_back(variable);
  }
  if (options.pass_fd >= 0) env.push_back(kListenPid + std::string(16, '\0'));
  const std::vector<char*> argv = pointers_to(args);
  const std::vector<char*> envp = pointers_to(env);

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errno, "cannot start " + args[0]);
  const OwnedFd read_end(ends[0]);
  OwnedFd low_end(ends[1]);
  // Away from descriptor 3, which the child overwrites.
  OwnedFd write_end(::fcntl(low_end.get(), F_DUPFD_CLOEXEC, 16));
  low_end.reset();
  if (!write_end.open()) return system_error(errno, "cannot start " + args[0]);

  const Plan plan{.path = program.value().c_str(),
                  .argv = argv.data(),
                  .envp = envp.data(),
                  .pid_text = options.pass_fd >= 0 ? env.back().data() + sizeof kListenPid - 1 : nullptr,
                  .pass_fd = options.pass_fd,
                  .stdout_fd = options.stdout_fd,
                  .stderr_fd = options.stderr_fd,
                  .error_fd = write_end.get(),
                  .fd_end = end_of_open_fds(),
                  .blocked_signal = options.blocked_signal,
                  .own_group = options.own_group,
                  .die_with_parent = options.die_with_parent,
                  .parent = ::getpid()};
  // Blocked over the fork: none of our handlers may run in the child.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int code = become(plan);
    (void)!::write(plan.error_fd, &code, sizeof code);
    ::_exit(code == ENOENT ? 127 : 126);
  }
  const int fork_code = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return system_error(fork_code, "cannot start " + args[0]);
  write_end.reset();
  if (const int code = read_outcome(read_end.get()); code != 0) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return exec_error(code, args[0]);
  }
  return pid;
}

int exec_exit_code(const Error& error) { return error.code == ENOENT || error.code == ENOTDIR ? 127 : 126; }

Result<void> signal_process(pid_t pid, int signal) {
  SHOAL_ASSERT(pid > 0);
  if (::kill(pid, signal) != 0) return system_error(errno, "cannot signal process " + std::to_string(pid));
  return {};
}

Result<void> signal_group(pid_t group, int signal) {
  SHOAL_ASSERT(group > 1);  // -1 would be everybody.
  if (::kill(-group, signal) != 0) return system_error(errno, "cannot signal process group " + std::to_string(group));
  return {};
}

Result<void> become_subreaper() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return system_error(errno, "cannot become a subreaper");
  return {};
}

bool end_all_children(Duration most) {
  constexpr Duration kRound = 5ms;  // A killed process is gone in less; its own children are ours only then.
  for (Duration waited{}; waited <= most; waited += kRound) {
    pid_t ended = 0;
    while ((ended = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
    }
    if (ended < 0 && errno == ECHILD) return true;
    for (const pid_t child : children_of(::getpid())) ::kill(child, SIGKILL);
    ::poll(nullptr, 0, static_cast<int>(to_ms(kRound)));
  }
  return false;
}

}  // namespace shoal::reactor
