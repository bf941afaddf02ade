#include "app/commands.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "app/control_client.h"
#include "app/gossip_driver.h"
#include "app/gossip_keys.h"
#include "app/process.h"
#include "app/sidecar_app.h"
#include "app/supervised_app.h"
#include "app/task_app.h"
#include "base/base64.h"
#include "config/cli.h"
#include "config/load.h"
#include "config/report.h"
#include "config/text.h"
#include "config/toml_loader.h"
#include "reactor/process_info.h"
#include "reactor/system.h"

#ifndef SHOAL_VERSION
#define SHOAL_VERSION "unknown"
#endif

namespace shoal::app {
namespace {

using config::Command;

/// 0, or 69 when stdout cannot take it (a full disk, a closed pipe): a cut answer must not look whole.
int print(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (written) return 0;
  std::fprintf(stderr, "shoal: cannot write to stdout: %s\n", std::strerror(errno));
  return kExitUnavailable;
}

void print_problem(const char* kind, const std::string& text) {
  std::fprintf(stderr, "shoal: %s%s\n", kind, text.c_str());
}

/// Reads at most one byte over the limit, so that the loader sees that there is more. Sets `error` on failure.
std::string read_file(const std::string& name, std::string& error) {
  // O_NONBLOCK: a FIFO or a terminal in the place of a file must not hold up the start for ever.
  const int fd = open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    error = std::strerror(errno);
    return {};
  }
  struct stat status {};
  std::string text;
  if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) error = "it is a directory";
  char part[16384];
  while (error.empty() && text.size() <= config::kFileBytesMax) {
    const ssize_t size = read(fd, part, sizeof part);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) error = std::strerror(errno);
    if (size <= 0) break;
    text.append(part, static_cast<std::size_t>(size));
  }
  close(fd);
  return text;
}

std::string own_hostname() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? std::string(name) : std::string();
}

/// Five hex digits that differ at each start: a name that comes back must not be taken for its former bearer.
std::string random_hex() {
  std::uint32_t number = 0;
  if (getrandom(&number, sizeof number, GRND_NONBLOCK) != static_cast<ssize_t>(sizeof number)) {
    number = static_cast<std::uint32_t>(getpid()) * 2654435761U;
  }
  char text[16];
  std::snprintf(text, sizeof text, "%05x", number & 0xfffffU);
  return text;
}

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "unknown";
#endif
}

std::string architecture() {
#if defined(__x86_64__)
  return "x86_64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "other";
#endif
}

int print_version(bool json) {
  const std::vector<std::string> features = {"sidecar", "task"};
  std::string list;
  for (const std::string& feature : features)
    list += (list.empty() ? "" : json ? "," : " ") + (json ? config::quoted(feature) : feature);
  if (json) {
    return print("{\"name\":\"shoal\",\"version\":" + config::quoted(SHOAL_VERSION) +
                 ",\"compiler\":" + config::quoted(compiler()) + ",\"architecture\":" + config::quoted(architecture()) +
                 ",\"features\":[" + list + "]}\n");
  }
  return print("shoal " SHOAL_VERSION "\ncompiler: " + compiler() + "\narchitecture: " + architecture() +
               "\nfeatures: " + list + "\n");
}

config::Loaded load_settings(const Command& command, std::span<const std::string> environment) {
  config::Sources sources;
  sources.file_name = command.file;
  if (!command.file.empty()) {
    std::string text = read_file(command.file, sources.file_error);
    if (sources.file_error.empty()) sources.file_text = std::move(text);
  }
  sources.environment = environment;
  sources.flags = command.flags;
  sources.role = command.role;
  sources.role_needed = command.kind == Command::Kind::kRun;
  sources.hostname = own_hostname();
  sources.random_hex = random_hex();
  config::Loaded loaded = config::load(sources);
  if (loaded.errors.empty()) {
    // Only here are both the wire's form and the operator's place of the value known, and files at hand.
    for (const config::Given& given : loaded.values) {
      Result<void> good;
      if (given.setting->key == "node.tags") good = check_tags(loaded.config.node.tags);
      // Who only asks a running shoal has no need of its keys.
      if (given.setting->key == "gossip.keyring_file" && !config::asks_running(command.kind)) {
        if (const auto keys = load_gossip_keys(loaded.config.gossip); !keys.ok()) good = keys.error();
      }
      if (!good.ok()) loaded.errors.push_back(config::problem_with(given, good.error().message));
    }
  }
  return loaded;
}

int fail_with(const config::Loaded& loaded) {
  for (const config::Problem& error : loaded.errors) print_problem("", error.text);
  return config::kExitBadSettings;
}

void print_warnings(const config::Loaded& loaded) {
  for (const config::Problem& warning : loaded.warnings) print_problem("warning: ", warning.text);
}

int check(const Command& command, const config::Loaded& loaded) {
  const int code = loaded.errors.empty() ? 0 : config::kExitBadSettings;
  if (command.json) {
    const int printed = print(config::check_json(loaded));
    return code != 0 ? code : printed;
  }
  print_warnings(loaded);
  if (code != 0) return fail_with(loaded);
  return print("settings are good\n");
}

int print_values(const Command& command, const config::Loaded& loaded) {
  print_warnings(loaded);
  if (!loaded.errors.empty()) return fail_with(loaded);
  return print(command.json ? config::values_json(loaded) : config::values_text(loaded));
}

int run(const config::Loaded& loaded, const std::vector<std::string>& arguments, bool is_supervised) {
  if (!loaded.errors.empty()) {
    // A mistyped variable is only a warning, but may well be the cause of the error. A run that starts logs them
    // itself.
    print_warnings(loaded);
    return fail_with(loaded);
  }
  if (*loaded.config.role == config::Role::kTask) return run_task(loaded.config);
  const bool supervises = !loaded.config.haproxy.command.empty() && !is_supervised;
  return supervises ? run_supervised(loaded.config, arguments) : run_sidecar(loaded.config);
}

int print_new_key(bool json) {
  std::uint8_t key[32];
  reactor::fill_with_entropy(key);
  std::uint8_t memory[base64_size(sizeof key)];
  ByteWriter text(memory);
  base64_encode(text, key);
  const std::string line(as_text(text.written()));
  return print(json ? "{\"key\":" + config::quoted(line) + "}\n" : line + "\n");
}

int ask(const Command& command, const config::Loaded& loaded) {
  if (!loaded.errors.empty()) {
    const int code = fail_with(loaded);
    return command.kind == Command::Kind::kHealth ? 1 : code;  // Container platforms know 0 and 1 alone.
  }
  const ControlOutcome outcome = run_control_command(command, loaded, STDIN_FILENO);
  const int printed = outcome.out.empty() ? 0 : print(outcome.out);
  for (const std::string& error : outcome.errors) print_problem("", error);
  return outcome.exit_code != 0 ? outcome.exit_code : printed;
}

}  // namespace

int run_command(int argc, char** argv, char** environment) {
  reactor::fill_standard_descriptors();
  std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const bool is_supervised = !arguments.empty() && arguments[0] == kSupervisedMark;
  if (is_supervised) {
    reactor::set_process_name("shoal");  // Else ps would show the path that we were executed by.
    arguments.erase(arguments.begin());
  }
  std::vector<std::string> variables;
  for (char** variable = environment; variable != nullptr && *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  const auto parsed = config::parse_command_line(arguments);
  if (const auto* error = std::get_if<config::UsageError>(&parsed)) {
    print_problem("", error->message);
    if (error->exit_code == config::kExitUsage) std::fprintf(stderr, "Try `shoal --help`.\n");
    return error->exit_code;
  }
  const Command& command = *std::get_if<Command>(&parsed);
  switch (command.kind) {
    case Command::Kind::kHelp: return print(config::help_text(command.help_topic));
    case Command::Kind::kVersion: return print_version(command.json);
    case Command::Kind::kConfigReference:
      return print(command.json ? config::reference_json() : config::reference_markdown());
    case Command::Kind::kConfigCheck: return check(command, load_settings(command, variables));
    case Command::Kind::kConfigPrint: return print_values(command, load_settings(command, variables));
    case Command::Kind::kKeygen: return print_new_key(command.json);
    case Command::Kind::kHealth:
    case Command::Kind::kStatus:
    case Command::Kind::kMembers:
    case Command::Kind::kKeysList:
    case Command::Kind::kKeysInstall:
    case Command::Kind::kKeysUse:
    case Command::Kind::kKeysRemove:
    case Command::Kind::kForceLeave:
    case Command::Kind::kEvent:
    case Command::Kind::kSteer: return ask(command, load_settings(command, variables));
    case Command::Kind::kRun: return run(load_settings(command, variables), arguments, is_supervised);
  }
  return 70;
}

}  // namespace shoal::app
