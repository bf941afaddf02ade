// Serf's RPC: whatever a client sends, however it is cut, is served the same; what goes back are whole objects in pairs
// of header and body; and nothing grows beyond its limits.
#include <string>
#include <vector>

#include "base/check.h"
#include "input.h"
#include "rpc/session.h"
#include "target.h"
#include "wire/msgpack.h"

namespace {

using namespace shoal;

struct Run {
  std::string served;
  std::vector<std::uint8_t> output;
  bool closed = false;
};

void serve(rpc::Session& session, Run& run, Instant now) {
  while (const rpc::Request* request = session.is_answering() ? nullptr : session.next()) {
    run.served += std::to_string(static_cast<int>(request->command)) + ":" + std::to_string(request->seq) + ":" +
                  std::string(request->name) + std::string(request->node) + std::string(request->key) + " ";
    if (request->command == rpc::Command::kQuery) {
      const std::vector<std::uint8_t> payload(request->payload.begin(), request->payload.end());
      session.answer_query(request->seq + 1, now + 1s);
      (void)session.on_response(request->seq + 1, request->ack, "b", payload);
    } else {
      session.answer("", [](std::vector<std::uint8_t>& out) {
        rpc::append(out, 1, [](ByteWriter& writer) { wire::msgpack::put_nil(writer); });
      });
    }
  }
}

Run run(Bytes all, std::size_t step, std::string_view key) {
  rpc::Session session(key);
  Run out;
  const Instant now = Instant{} + 1h;
  while (!all.empty() && session.wants_bytes()) {
    const std::size_t piece = std::min(step, all.size());
    session.on_bytes(all.first(piece));
    all = all.subspan(piece);
    serve(session, out, now);
    if (session.output().size() >= rpc::Session::kRecordBytesMax) break;
  }
  out.closed = session.wants_close();
  out.output.assign(session.output().begin(), session.output().end());
  // News, for whatever it has subscribed to.
  rpc::Member member;
  member.name = "web-1";
  member.meta = as_bytes("\xff\x82\xa4role");
  session.on_member(rpc::EventKind::kMemberJoin, member);
  session.on_user_event(1, "deploy", as_bytes("v1"), true);
  session.on_query(now, 5, now + 1s, 2, "uptime", {});
  session.on_log(rpc::MonitorLevel::kErr, "line");
  session.on_deadline(now + 2s);
  SHOAL_ASSERT(session.next_deadline() == kNever);
  wire::msgpack::Reader objects(session.output());
  while (objects.left() > 0) {
    (void)objects.skip();
    SHOAL_ASSERT(objects.ok());
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view key = (data[0] & 1) != 0 ? "secret" : "";
  const Bytes all(data + 1, size - 1);
  const Run whole = run(all, rpc::Session::kRequestBytesMax, key);
  const Run pieces = run(all, 1 + (data[0] >> 1), key);
  SHOAL_ASSERT(whole.served == pieces.served && whole.closed == pieces.closed && whole.output == pieces.output);
  return 0;
}
