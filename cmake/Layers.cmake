# One static library per folder. A layer's headers are reached as "NAME/file.h" through an include folder that holds a
# link to that layer alone, so a layer can include nothing but itself and what it USES: the build refuses the rest.
function(byway_layer name dir)
  cmake_parse_arguments(L "" "" "USES;LINKS" ${ARGN})
  file(GLOB_RECURSE src CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${dir}/*.c)
  list(FILTER src EXCLUDE REGEX "/standin/")     # sim/standin takes the place of bw_crypto: never in a library
  set(inc ${CMAKE_BINARY_DIR}/inc/${name})
  file(MAKE_DIRECTORY ${inc})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${dir} ${inc}/${name} SYMBOLIC)
  if(NOT src)
    return()     # nothing there yet
  endif()
  add_library(bw_${name} STATIC ${src})
  target_include_directories(bw_${name} PRIVATE ${inc})
  foreach(u ${L_USES})
    target_include_directories(bw_${name} PRIVATE ${CMAKE_BINARY_DIR}/inc/${u})
    if(TARGET bw_${u})
      target_link_libraries(bw_${name} PUBLIC bw_${u})
    endif()
  endforeach()
  target_link_libraries(bw_${name} PUBLIC ${L_LINKS})
endfunction()

# Include folders for programs that may look into several layers (tests).
function(byway_sees target)
  foreach(u ${ARGN})
    target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/inc/${u})
    if(TARGET bw_${u})
      target_link_libraries(${target} PRIVATE bw_${u})
    endif()
  endforeach()
endfunction()
