// OpenSSL for Swift: the headers, and what Swift cannot import of them: function-like macros, callbacks that are hot,
// and what differs between 3.0 and 3.5.
#pragma once
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MARK: What goes over the wire

/// Bytes that one call of OpenSSL wants sent; connections of one thread share one.
struct chimera_outgoing {
    uint8_t *bytes;
    size_t count;
    size_t capacity;
};

/// What is below the TLS of one connection: a non-blocking socket to read from, and where to put what is to be sent.
struct chimera_wire {
    struct chimera_outgoing *outgoing;
    int descriptor;
    /// errno of a read that failed, or 0.
    int error;
    /// A read of the socket may bring something.
    bool readable;
    /// The peer's end is announced: a short read does not mean that nothing is left.
    bool closing;
    /// The peer has ended its side.
    bool ended;
    /// The first bytes are a request without TLS.
    bool plain;
    bool started;
    /// The peer has sent more KeyUpdates than it may, or asked for a renegotiation: nothing more is read.
    bool flooded;
    /// How many more it may send.
    int key_updates_left;
};

/// What became of a call.
enum chimera_tls_status {
    CHIMERA_TLS_DONE = 0,
    /// Nothing more comes now.
    CHIMERA_TLS_WAIT = 1,
    /// The peer has ended its side.
    CHIMERA_TLS_END = 2,
    CHIMERA_TLS_FAILED = 3,
};

/// How connections read and write a `chimera_wire`.
BIO_METHOD *chimera_wire_method(void);

/// A server's end of a connection over `wire`.
SSL *chimera_tls_new(SSL_CTX *context, BIO_METHOD *method, struct chimera_wire *wire);
/// What callbacks about the connection belong to.
void chimera_tls_set_owner(SSL *ssl, void *owner);
void *chimera_tls_owner(const SSL *ssl);

enum chimera_tls_status chimera_tls_handshake(SSL *ssl);
/// Decrypts as much as is there and fits. `full` says whether there may be more.
enum chimera_tls_status chimera_tls_read(
    SSL *ssl, struct chimera_wire *wire, void *room, size_t capacity, size_t *count, bool *full);
/// Whether a part of a record has come, so that the rest of it is awaited.
bool chimera_tls_has_part(const SSL *ssl);
/// Encrypts all of `bytes`, in records of at most `record` bytes.
enum chimera_tls_status chimera_tls_write(SSL *ssl, const void *bytes, size_t count, size_t record);
/// Says that nothing more comes from us.
void chimera_tls_shutdown(SSL *ssl);

/// Why the call before failed: a reason of OpenSSL's list, 1000 and an alert that the peer sent, or 0. Forgets it.
int chimera_tls_reason(void);
/// The text of the oldest error, for who configures; forgets all.
void chimera_error_text(char *room, size_t capacity);

// MARK: Contexts

SSL_CTX *chimera_server_context(OSSL_LIB_CTX *library);
/// For clients: TLS 1.2 at least.
SSL_CTX *chimera_client_context(void);
/// A client's end of a connection to `host`, a name or an address, whose records go through memory.
SSL *chimera_tls_client(SSL_CTX *context, const char *host);
bool chimera_context_set_groups(SSL_CTX *context, const char *groups);
/// The name in a ClientHello, before it is checked; NULL where it has none.
const uint8_t *chimera_hello_server_name(SSL *ssl, size_t *count);
void chimera_tls_set_least_version(SSL *ssl, int version);
void chimera_context_set_tickets(
    SSL_CTX *context, int (*callback)(SSL *, unsigned char *, unsigned char *, EVP_CIPHER_CTX *, EVP_MAC_CTX *, int));
void chimera_context_set_status(SSL_CTX *context, int (*callback)(SSL *, void *));
/// Takes a copy of an OCSP response to send with the certificate.
int chimera_tls_set_status(SSL *ssl, const void *bytes, size_t count);
/// Whether a server's connection takes a certificate; why not is in OpenSSL's list of errors.
bool chimera_certificate_try(OSSL_LIB_CTX *library, X509 *leaf, EVP_PKEY *key, STACK_OF(X509) *chain);
int chimera_tls_use(SSL *ssl, X509 *leaf, EVP_PKEY *key, STACK_OF(X509) *chain);
void chimera_tls_set_trust(SSL *ssl, X509_STORE *store, const STACK_OF(X509_NAME) *names, bool required);
/// The subject of the peer's certificate, where it was verified, to be freed with `BIO_free`; else NULL.
BIO *chimera_tls_client_subject(const SSL *ssl);

// MARK: Tickets

/// HMAC-SHA-256 with a key of 32 bytes.
bool chimera_hmac(const uint8_t key[32], const void *bytes, size_t count, uint8_t result[32]);
/// Makes ready to seal or open a ticket with AES-256-CBC and HMAC-SHA-256.
bool chimera_ticket_begin(
    EVP_CIPHER_CTX *cipher_context, EVP_MAC_CTX *mac_context, EVP_CIPHER *cipher, const uint8_t cipher_key[32],
    const uint8_t mac_key[32], uint8_t iv[16], bool sealing);

// MARK: Certificates

/// Adds an extension by OpenSSL's configuration text.
bool chimera_add_extension(X509 *certificate, X509 *issuer, int kind, const char *value);
STACK_OF(X509) *chimera_chain_new(void);
void chimera_chain_push(STACK_OF(X509) *chain, X509 *certificate);
int chimera_chain_count(const STACK_OF(X509) *chain);
/// Of the chain's own; it is not to be freed.
X509 *chimera_chain_at(const STACK_OF(X509) *chain, int index);
void chimera_chain_free(STACK_OF(X509) *chain);
STACK_OF(X509_NAME) *chimera_names_new(void);
void chimera_names_push(STACK_OF(X509_NAME) *names, const X509_NAME *name);
void chimera_names_free(STACK_OF(X509_NAME) *names);
EVP_PKEY *chimera_make_key(OSSL_LIB_CTX *library);
/// The next certificate of a PEM text; NULL at its end or where it is none, which `failed` tells apart.
X509 *chimera_next_certificate(BIO *pem, OSSL_LIB_CTX *library, bool *failed);
/// The private key of a PEM text; nobody is asked for a passphrase.
EVP_PKEY *chimera_private_key(BIO *pem, OSSL_LIB_CTX *library);
/// Seconds from now until the certificate's time is over; negative where it is.
int64_t chimera_seconds_left(const X509 *certificate);
/// Seconds from now until the certificate's time begins; negative where it has begun.
int64_t chimera_seconds_until_valid(const X509 *certificate);
/// Whether the certificate may be a server's, by its extended key usage (RFC 5280 §4.2.1.12).
bool chimera_is_for_servers(X509 *certificate);
/// Whether the certificate says where that of its signer is to be had (RFC 5280 §4.2.2.1), as public authorities do.
bool chimera_names_its_signer(const X509 *certificate);

// MARK: OCSP responses (RFC 6960)

struct chimera_ocsp {
    /// It holds an answer, and not why there is none.
    bool is_successful;
    /// What it says is about the certificate that was asked about.
    bool is_about;
    bool is_revoked;
    /// The authority does not know the certificate.
    bool is_unknown;
    /// Of the POSIX clock: when what it says began to be known as right, and when newer news is there; INT64_MAX where it does
    /// not say.
    int64_t since;
    int64_t until;
};
/// Reads a response in DER form, and what it says about a certificate.
///
/// The certificate's issuer is NULL where it is not known; then the issuer's name alone tells whose response it is.
/// Returns false where it is none, or more than one.
bool chimera_read_ocsp(
    const uint8_t *bytes, size_t count, X509 *leaf, X509 *issuer, struct chimera_ocsp *result);

/// The PEM text of a key or of a certificate, to be freed with `BIO_free`.
BIO *chimera_pem_of_key(EVP_PKEY *key);
BIO *chimera_pem_of_certificate(X509 *certificate);
size_t chimera_bio_bytes(BIO *bio, const char **bytes);
