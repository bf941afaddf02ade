#include "task/worker_env.h"

#include <array>
#include <cctype>

#include "base/check.h"

namespace shoal::task {
namespace {

constexpr std::string_view kListenPidKey = "LISTEN_PID=";
constexpr std::size_t kPidDigitsMax = 10;

bool is_word(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_') return false;
  }
  return true;
}

Error bad_placeholder(std::string_view word, std::string_view why) {
  std::string message = "worker.command: {";
  message.append(word).append("} ").append(why);
  return Error{0, message};
}

// A brace that does not enclose a single word, as in JSON or in awk's `{print $1}`, stands for itself.
Result<std::string> fill_in(std::string_view text, const WorkerPlan& plan) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '{') {
      out.push_back(text[i]);
      continue;
    }
    if (text.substr(i).substr(0, 2) == "{{") {
      out.push_back('{');
      ++i;
      continue;
    }
    const std::size_t end = text.find('}', i);
    const std::string_view word = end == std::string_view::npos ? std::string_view{} : text.substr(i + 1, end - i - 1);
    if (!is_word(word)) {
      out.push_back('{');
      continue;
    }
    if (word == "addr") {
      out.append(to_text(plan.addr).view());
    } else if (word == "port") {
      out.append(std::to_string(plan.port));
    } else if (word == "fd") {
      if (!plan.pass_listener) {
        return bad_placeholder(word, "needs worker.socket = \"pass\"; the worker binds {port} itself here");
      }
      out.append(std::to_string(kListenerFd));
    } else {
      return bad_placeholder(word, "is not known; there are {addr}, {port} and {fd}, and {{ stands for a brace");
    }
    i = end;
  }
  return out;
}

bool goes_on_to_worker(std::string_view entry) {
  if (entry.find('=') == std::string_view::npos) return false;
  if (entry.substr(0, 6) == "SHOAL_") return false;
  constexpr std::array<std::string_view, 6> kNotForWorker = {
      "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="};
  for (const std::string_view key : kNotForWorker) {
    if (entry.substr(0, key.size()) == key) return false;
  }
  return true;
}

}  // namespace

Result<WorkerImage> make_worker_image(const WorkerPlan& plan) {
  WorkerImage image;
  if (plan.command.empty() || plan.command.front().empty()) {
    return Error{0, "worker.command is empty; say what to run, as in `shoal task -- ./server --port {port}`"};
  }
  for (const std::string& argument : plan.command) {
    Result<std::string> filled = fill_in(argument, plan);
    if (!filled) return filled.error();
    image.argv.push_back(*filled);
  }
  for (const char* const entry : plan.parent_environment) {
    if (goes_on_to_worker(entry)) image.environment.emplace_back(entry);
  }
  image.environment.push_back("SHOAL_PORT=" + std::to_string(plan.port));
  image.environment.push_back("SHOAL_ADDR=" + std::string(to_text(plan.addr).view()));
  if (plan.pass_listener) {
    image.environment.push_back("SHOAL_LISTENER_FD=" + std::to_string(kListenerFd));
    image.environment.push_back("LISTEN_FDS=1");
    image.environment.push_back("LISTEN_FDNAMES=shoal");
    image.listen_pid = image.environment.size();
    image.environment.push_back(std::string(kListenPidKey) + std::string(kPidDigitsMax, '0'));
  }
  if (!plan.notify_socket.empty()) image.environment.push_back("NOTIFY_SOCKET=" + plan.notify_socket);
  return image;
}

void write_listen_pid(char* entry, std::int32_t pid) {
  SHOAL_ASSERT(pid > 0);
  std::array<char, kPidDigitsMax> digits{};
  std::size_t count = 0;
  for (std::int32_t rest = pid; rest > 0; rest /= 10) digits[count++] = static_cast<char>('0' + rest % 10);
  char* at = entry + kListenPidKey.size();
  // Without leading zeros, which some readers take for octal; the entry simply ends earlier.
  while (count > 0) *at++ = digits[--count];
  *at = '\0';
}

}  // namespace shoal::task
