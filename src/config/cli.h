// The command line: argv to a Command. Strict: an unknown flag or a leftover argument is an error that names the
// nearest known one, nothing is abbreviated, and nothing has started yet.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/settings.h"

namespace shoal::config {

// Exit codes (sysexits where one fits).
inline constexpr int kExitUsage = 64;
inline constexpr int kExitBadSettings = 78;

struct Command {
  enum class Kind : std::uint8_t {
    kRun,
    kConfigCheck,
    kConfigPrint,
    kConfigReference,
    kVersion,
    kHelp,
    kKeygen,
    // These ask a running shoal; see asks_running().
    kHealth,
    kStatus,
    kMembers,
    kKeysList,
    kKeysInstall,
    kKeysUse,
    kKeysRemove,
    kForceLeave,
    kEvent,
    kSteer,
  };
  Kind kind = Kind::kRun;
  std::optional<Role> role;  // As said by the subcommand.
  std::string file;          // -c; empty: none.
  bool json = false;         // -o json.
  std::vector<Given> flags;  // One for each setting, repeated flags put together.
  std::string help_topic;    // For kHelp: "", or the command's first word.
  /// keys install, use, remove: the key, or "-" for stdin. force-leave: the member. event: its name. drain, ready,
  /// maint: the node, or its server in HAProxy. Never empty there.
  std::string subject;
  std::string payload;    // event
  bool prune = false;     // force-leave
  bool coalesce = false;  // event
  std::string wish;       // kSteer: "drain", "ready" or "maint", the command itself.
  bool stop = false;      // drain, maint
  bool ready = false;     // health: the strict question.
  Duration timeout{};     // health, status: the longest wait for the answer; 0 = the command's own.
};

/// Of its flags such a command has only control.socket.
[[nodiscard]] bool asks_running(Command::Kind kind);

struct UsageError {
  int exit_code = kExitUsage;
  std::string message;  // Names the argument and the nearest known one.
};

/// `arguments` without the program's name. REQUIRES nothing: everything in it is the operator's.
[[nodiscard]] std::variant<Command, UsageError> parse_command_line(std::span<const std::string> arguments);

}  // namespace shoal::config
