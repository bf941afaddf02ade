#include "reactor/unix_listener.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

#include "reactor/client_stream.h"
#include "reactor/file.h"
#include "reactor/unix_names.h"
#include "test_directory.h"
#include "test_loop.h"

namespace shoal::reactor {
namespace {

struct Server final : UnixListenerHandler {
  explicit Server(Loop& loop) : listener(loop, *this) {}
  void on_accepted(UnixConnection&) override { ++accepted; }
  void on_bytes(UnixConnection& connection, Bytes bytes) override {
    heard += as_text(bytes);
    if (reply && heard.back() == '\n') connection.finish(*reply);
  }
  void on_gone(UnixConnection&) override { ++gone; }
  void on_timeout(UnixConnection& connection) override {
    ++timeouts;
    if (late_reply) connection.finish(*late_reply);
  }
  int accepted = 0, gone = 0, timeouts = 0;
  std::string heard;
  std::optional<std::string> reply, late_reply;
  UnixListener listener;
};

struct Client final : ClientStreamHandler {
  explicit Client(Loop& loop) : stream(loop, *this) {}
  void on_bytes(Bytes bytes) override { heard += as_text(bytes); }
  void on_closed(const Error& why) override {
    closed = true;
    code = why.code;
  }
  std::string heard;
  bool closed = false;
  int code = 0;
  ClientStream stream;
};

std::string abstract_name(const char* what) { return "@shoal-unit/" + std::to_string(::getpid()) + "/" + what; }

TEST_CASE("a client asks, is answered whole, and the connection ends without an error on either side") {
  TestLoop t;
  TestDirectory d;
  Server server(t.loop);
  REQUIRE(server.listener.listen(d / "s").ok());
  server.reply = std::string(3'000'000, 'x');  // More than the kernel's buffers hold.
  Client client(t.loop);
  REQUIRE(client.stream.connect(d / "s").ok());
  REQUIRE(client.stream.write(as_bytes("ask\n")));
  REQUIRE(t.run_until([&] { return client.closed && server.listener.in_use() == 0; }));
  CHECK(client.code == 0);
  CHECK(client.heard == *server.reply);
  CHECK(server.heard == "ask\n");
  CHECK(server.accepted == 1);
  CHECK(server.gone == 0);
}

TEST_CASE("the socket's file has mode 0600 from the beginning, and goes with the listener") {
  TestLoop t;
  TestDirectory d;
  Server server(t.loop);
  const mode_t before = ::umask(0);
  REQUIRE(server.listener.listen(d / "s").ok());
  ::umask(before);
  struct stat info {};
  REQUIRE(::lstat((d / "s").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);
  CHECK(sockets_in(d.path()) == std::vector<std::string>{d / "s"});
  server.listener.close();
  CHECK(d.entries() == 0);
}

TEST_CASE("a file that a dead process left is replaced, a living one's is not, nor is anything else") {
  TestLoop t;
  TestDirectory d;
  {
    Server dead(t.loop);
    REQUIRE(dead.listener.listen(d / "s").ok());
    REQUIRE(::rename((d / "s").c_str(), (d / "kept").c_str()) == 0);  // So that closing does not remove it.
  }
  REQUIRE(::rename((d / "kept").c_str(), (d / "s").c_str()) == 0);
  Server first(t.loop);
  REQUIRE(first.listener.listen(d / "s").ok());
  Server second(t.loop);
  const Result<void> refused = second.listener.listen(d / "s");
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == EADDRINUSE);
  CHECK(refused.error().message.find("another process answers there") != std::string::npos);
  second.listener.close();
  CHECK(d.entries() == 1);  // The first one's is untouched.

  REQUIRE(replace_file(d / "file", "precious", 0600).ok());
  CHECK(second.listener.listen(d / "file").error().code == EEXIST);
  CHECK(*read_file(d / "file", 100) == "precious");
  CHECK(second.listener.listen(d / "none/s").error().code == ENOENT);
}

TEST_CASE("a file that somebody has replaced stays when the listener goes") {
  TestLoop t;
  TestDirectory d;
  Server first(t.loop);
  REQUIRE(first.listener.listen(d / "s").ok());
  REQUIRE(::unlink((d / "s").c_str()) == 0);
  Server second(t.loop);
  REQUIRE(second.listener.listen(d / "s").ok());
  first.listener.close();
  CHECK(d.entries() == 1);
}

TEST_CASE("an abstract name takes our own uid, is found by those who look, and is taken once") {
  TestLoop t;
  Server server(t.loop);
  const std::string name = abstract_name("a");
  REQUIRE(server.listener.listen(name).ok());
  CHECK(listening_abstract_names(name) == std::vector<std::string>{name});
  Server second(t.loop);
  CHECK(second.listener.listen(name).error().code == EADDRINUSE);
  server.reply = "yes";
  Client client(t.loop);
  REQUIRE(client.stream.connect(name).ok());
  CHECK(*client.stream.peer_uid() == ::geteuid());
  CHECK(is_trusted_uid(::geteuid()));
  CHECK(is_trusted_uid(0));
  CHECK_FALSE(is_trusted_uid(::geteuid() + 1));
  REQUIRE(client.stream.write(as_bytes("\n")));
  REQUIRE(t.run_until([&] { return client.closed; }));
  CHECK(client.heard == "yes");
  CHECK(server.listener.refused() == 0);
}

TEST_CASE("at most eight are served at once, and the ninth when one has gone") {
  TestLoop t;
  Server server(t.loop);
  REQUIRE(server.listener.listen(abstract_name("b")).ok());
  std::vector<std::unique_ptr<Client>> clients;
  for (std::uint32_t i = 0; i <= UnixListener::kConnectionsMax; ++i) {
    clients.push_back(std::make_unique<Client>(t.loop));
    REQUIRE(clients.back()->stream.connect(abstract_name("b")).ok());
  }
  t.run_for(50ms);
  CHECK(server.accepted == 8);
  CHECK(server.listener.in_use() == 8);
  clients[3]->stream.close();
  REQUIRE(t.run_until([&] { return server.accepted == 9; }));
  CHECK(server.gone == 1);
  CHECK(server.listener.in_use() == 8);
}

TEST_CASE("the deadline comes once, and its answer is the last") {
  TestLoop t;
  Server server(t.loop);
  REQUIRE(server.listener.listen(abstract_name("c")).ok());
  server.late_reply = "too late";
  Client client(t.loop);
  REQUIRE(client.stream.connect(abstract_name("c")).ok());
  REQUIRE(t.run_until([&] { return server.accepted == 1; }));
  server.listener.at(0).wait_until(t.loop.now() + 30ms);
  REQUIRE(t.run_until([&] { return client.closed; }));
  CHECK(client.heard == "too late");
  CHECK(server.timeouts == 1);
  CHECK(server.gone == 0);

  server.late_reply.reset();  // Without an answer it is closed.
  Client silent(t.loop);
  REQUIRE(silent.stream.connect(abstract_name("c")).ok());
  REQUIRE(t.run_until([&] { return server.accepted == 2; }));
  server.listener.at(0).wait_until(t.loop.now() + 30ms);
  REQUIRE(t.run_until([&] { return silent.closed; }));
  CHECK(server.timeouts == 2);
  CHECK(server.listener.in_use() == 0);
}

TEST_CASE("the kernel's table gives the abstract names that somebody listens on") {
  const std::string table =
      "Num       RefCount Protocol Flags    Type St Inode Path\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01 12345 @shoal/task-7947\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03 12346 @shoal/task-7947\n"
      "0000000000000000: 00000002 00000000 00000000 0002 01 12347 @shoal/notify/1\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01    99 @shoal/a b\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01 12348 /run/x.sock\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01 12349\n"
      "cut";
  CHECK(parse_listening_names(table, "@shoal/") == std::vector<std::string>{"@shoal/a b", "@shoal/task-7947"});
  CHECK(parse_listening_names("", "@").empty());
}

}  // namespace
}  // namespace shoal::reactor
