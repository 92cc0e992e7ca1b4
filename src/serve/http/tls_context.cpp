// OpenSSL's context through Asio.
#include "serve/http/tls_context.h"

#include <boost/system/system_error.hpp>

namespace millrace {

Result<std::shared_ptr<boost::asio::ssl::context>> make_tls_context(const TlsFiles& files) {
  namespace ssl = boost::asio::ssl;
  boost::system::error_code error;
  std::shared_ptr<ssl::context> context;
  try {
    context = std::make_shared<ssl::context>(ssl::context::tls_server);
  } catch (const boost::system::system_error& failure) {
    return Error{ErrorCode::kUnavailable,
                 "OpenSSL gives no TLS context: " + std::string(failure.what())};
  }
  context->set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 |
                           ssl::context::no_sslv3 | ssl::context::no_tlsv1 |
                           ssl::context::no_tlsv1_1 | ssl::context::no_compression,
                       error);
  if (!error) context->use_certificate_chain_file(files.certificate_path, error);
  if (error) {
    return Error{ErrorCode::kInvalidArgument,
                 "certificate " + files.certificate_path + " cannot be used: " + error.message()};
  }
  context->use_private_key_file(files.key_path, ssl::context::pem, error);
  if (error) {
    return Error{ErrorCode::kInvalidArgument,
                 "key " + files.key_path + " cannot be used: " + error.message()};
  }
  return context;
}

}  // namespace millrace
