# What `make install` puts where: the program, a man page per command, the systemd unit with the path of this program in
# it. tools/uninstall knows the same three.
install(TARGETS byway RUNTIME DESTINATION bin)
file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.[1-8])
foreach(page ${pages})
  string(REGEX MATCH "[1-8]$" section ${page})
  install(FILES ${page} DESTINATION share/man/man${section})
endforeach()
install(CODE "
  set(unit ${CMAKE_SOURCE_DIR}/packaging/systemd/byway.service)
  if(EXISTS \${unit})
    file(READ \${unit} text)
    string(REGEX REPLACE \"=(/[^ \n]*)?/byway \" \"=\${CMAKE_INSTALL_PREFIX}/bin/byway \" text \"\${text}\")
    set(here ${CMAKE_BINARY_DIR}/byway.service)
    file(WRITE \${here} \"\${text}\")
    file(INSTALL \${here} DESTINATION \${CMAKE_INSTALL_PREFIX}/lib/systemd/system)
  endif()
")
