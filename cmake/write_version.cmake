# Run at each build (cmake -P): writes base/version.h, and touches it only when its content changed.
#
# Expects SOURCE_DIR, OUTPUT, GIT (may be empty) and the MILLRACE_* values that the template names.
set(MILLRACE_COMMIT unknown)
if(GIT AND EXISTS ${SOURCE_DIR}/.git)
  # No optional locks: a build must not get in the way of a git command that runs beside it.
  execute_process(
    COMMAND ${GIT} -c safe.directory=${SOURCE_DIR} --no-optional-locks
      describe --always --dirty --abbrev=12 --match "v[0-9]*"
    WORKING_DIRECTORY ${SOURCE_DIR} OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE
    ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(MILLRACE_COMMIT ${described})
  endif()
endif()
configure_file(${SOURCE_DIR}/src/base/version.h.in ${OUTPUT} @ONLY)
