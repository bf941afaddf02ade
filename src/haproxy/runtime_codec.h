// The words of HAProxy's runtime socket: commands out, answers in. No state, no time.
//
// Everything that reaches the socket is made here from checked parts, because the socket obeys at admin level: a space
// in a name would add a parameter, a newline or `;` a command. Names are whitelisted and never escaped, addresses are
// printed from parsed bytes, numbers from integers, options from ServerOptions. `encode` cannot be given anything else.
//
// Framing (the only one that holds on all versions): interactive mode (`prompt`), one command a line, and the end of
// each answer is "\n> ". On the master's socket it is "\nmaster> ", or "\nmaster[ReloadFailed]> " after a reload that
// failed, and "@1 " in front of a command sends it to the current worker. Answers were captured from HAProxy 2.6.12.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/containers.h"
#include "base/endpoint.h"
#include "haproxy/server_options.h"

namespace shoal::haproxy {

/// A line near tune.bufsize (16384) wedges the socket of 2.6 and starts endless output on 3.4: stay far below.
inline constexpr std::size_t kLineBytesMax = 4096;
inline constexpr std::string_view kPromptLine = "prompt\n";
inline constexpr std::string_view kShowInfoLine = "show info\n";
inline constexpr std::string_view kShowLevelLine = "show cli level\n";
inline constexpr std::string_view kExperimentalLine = "experimental-mode on\n";

/// Where one answer ends and the next begins.
struct Framing {
  bool is_master = false;

  struct End {
    std::size_t size = 0;  // The answer's, from the beginning of the text.
    std::size_t next = 0;  // Where the next one begins.
  };
  /// The first end at or after `from`. Nothing while it is not complete; then `resume_at` is where to go on looking
  /// when more has come.
  [[nodiscard]] std::optional<End> find(std::string_view text, std::size_t from) const;
  [[nodiscard]] std::size_t resume_at(std::string_view text, std::size_t from) const;
};

/// What came after `prompt` on a new connection.
enum class Greeting : std::uint8_t { kIncomplete, kWorker, kMaster };
[[nodiscard]] Greeting parse_greeting(std::string_view text);

/// `show cli level`. Unknown on a version that does not know the question: then nothing follows from it.
enum class Level : std::uint8_t { kUnknown, kUser, kOperator, kAdmin };
[[nodiscard]] Level parse_level(std::string_view reply);

/// HAProxy's own alphabet for proxies and servers: A-Z a-z 0-9 _ . : -
[[nodiscard]] bool is_name(std::string_view text, std::size_t size_max);

/// A name that cannot be invalid: empty, or 1 to kMax characters of HAProxy's alphabet.
template <std::size_t kMax>
class CheckedName {
 public:
  CheckedName() = default;
  [[nodiscard]] static std::optional<CheckedName> parse(std::string_view text) {
    if (!is_name(text, kMax)) return std::nullopt;
    CheckedName out;
    out.text_.assign_cut(text);
    return out;
  }
  [[nodiscard]] std::string_view view() const { return text_.view(); }
  [[nodiscard]] bool empty() const { return text_.empty(); }
  friend bool operator==(const CheckedName& a, const CheckedName& b) { return a.text_ == b.text_; }
  friend bool operator==(const CheckedName& a, std::string_view b) { return a.text_ == b; }

 private:
  FixedString<kMax> text_;
};

using BackendName = CheckedName<64>;
using ServerName = CheckedName<128>;

enum class CommandKind : std::uint8_t {
  kShowInfo,
  kShowBackend,       // The names of all pools.
  kShowServersState,  // `backend`, or every pool when it is empty.
  kShowStat,          // The counters of the server with `id` in `backend`.
  kAddServer,         // With weight 0: rotation begins with the weight, which is set last.
  kEnableHealth,
  kEnableServer,
  kSetState,
  kSetWeight,
  kSetHealthDown,  // Until its check passes. For a server without a check that is for ever.
  kSetAddress,     // Of a slot: a server that HAProxy had from its start.
  kDelServer,
};

enum class AdminState : std::uint8_t { kReady, kDrain, kMaint };

/// One line to HAProxy. Only the fields that its kind names are read.
struct Command {
  CommandKind kind = CommandKind::kShowInfo;
  AdminState state = AdminState::kReady;  // kSetState
  std::uint16_t weight = 0;               // kSetWeight, 0-256
  std::uint32_t id = 0;                   // kAddServer (0 = HAProxy's choice), kShowStat
  bool init_down = false;                 // kAddServer: `init-state down`, from HAProxy 3.1 on.
  std::uint32_t tag = 0;                  // The caller's own mark, given back with the answer.
  BackendName backend;
  ServerName server;
  Endpoint address;                        // kAddServer, kSetAddress; REQUIRES: an address and a port.
  const ServerOptions* options = nullptr;  // kAddServer; borrowed until the answer has come.
};

void put_decimal(ByteWriter& out, std::uint64_t value);
/// Writes the command and its newline. False when a part is missing or it does not fit: then nothing has been written.
[[nodiscard]] bool encode(const Command& command, ByteWriter& out);

/// What an answer to a changing command means. Texts that are in no list are refusals: nothing is taken for success.
enum class Outcome : std::uint8_t {
  kDone,
  kAlreadyThere,  // add: the name is taken.
  kNoSuchServer,  // For a delete this is success.
  kNoSuchBackend,
  kStaticBalance,     // add: the pool's algorithm takes no dynamic servers.
  kIdTaken,           // add: another server of the pool has this id.
  kStillUsed,         // del: connections attached, idle ones included.
  kNotInMaintenance,  // del
  kNoCheck,           // enable health: the server has no check.
  kFixedWeights,      // weight: the pool's algorithm takes 0 and the configured weight only.
  kPermissionDenied,  // The socket's level is below admin.
  kNoSlot,            // Never an answer: the sidecar's own, when no slot is free.
  kRefused,           // Anything else; the text says what.
};

[[nodiscard]] std::string_view to_text(Outcome outcome);
/// `reply` without the prompt. Tables (show ...) are kDone unless they are an error text.
[[nodiscard]] Outcome judge(CommandKind kind, std::string_view reply);

/// `show info`, as far as it is used. Nothing unless Pid, Start_time_sec and Version are all there.
struct Info {
  std::uint64_t pid = 0;
  std::uint64_t start_time_sec = 0;
  bool stopping = false;
  std::optional<std::uint64_t> connections;  // Of clients; those to runtime sockets do not count.
  FixedString<63> version;
};
[[nodiscard]] std::optional<Info> parse_info(std::string_view reply);

/// A server's row of `show servers state`; views into the reply.
struct ServerRow {
  std::string_view backend;
  std::string_view server;
  std::uint32_t id = 0;
  Endpoint address;           // No address when HAProxy shows "-".
  std::uint8_t op_state = 0;  // 0 stopped, 1 starting, 2 running, 3 stopping.
  std::uint32_t admin = 0;    // A mask; 0 = nobody holds it back.
  std::uint32_t weight = 0;   // The present one (srv_uweight).
  std::uint32_t configured_weight = 0;
  bool has_check = false;  // It was added with `check`.
};

/// `disabled` in the configuration: the bit stays when the server has been enabled, and says nothing any more then.
inline constexpr std::uint32_t kAdminConfigured = 0x04;
inline constexpr std::uint32_t kAdminMaintBits = 0x01 | 0x02 | 0x04 | 0x20 | 0x40;
inline constexpr std::uint32_t kAdminDrainBits = 0x08 | 0x10;

/// Reads the rows one by one. A row that does not parse is skipped and counted. A table without its head is no table.
class ServerStateReader {
 public:
  explicit ServerStateReader(std::string_view reply);
  [[nodiscard]] bool is_table() const { return is_table_; }
  [[nodiscard]] bool next(ServerRow& row);
  [[nodiscard]] std::uint32_t malformed() const { return malformed_; }

 private:
  std::string_view rest_;
  bool is_table_ = false;
  std::uint32_t malformed_ = 0;
};

/// The names of `show backend`, one by one.
class BackendReader {
 public:
  explicit BackendReader(std::string_view reply);
  [[nodiscard]] bool is_table() const { return is_table_; }
  [[nodiscard]] bool next(std::string_view& name);

 private:
  std::string_view rest_;
  bool is_table_ = false;
};

/// What hangs on a server. Requests in flight are queued + sessions.
struct Counters {
  std::uint64_t queued = 0;    // qcur
  std::uint64_t sessions = 0;  // scur
  std::uint64_t used = 0;      // used_conn_cur
  std::uint64_t idle = 0;      // idle_conn_cur
};
/// From `show stat`; columns are found by their names, since their set differs between versions. Nothing when no row is
/// for `server` (ids are reused: the name decides) or a column is missing.
[[nodiscard]] std::optional<Counters> parse_counters(std::string_view reply, std::string_view backend,
                                                     std::string_view server);

}  // namespace shoal::haproxy
